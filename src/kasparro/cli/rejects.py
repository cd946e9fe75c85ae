"""`kasparro rejects list|show`: records that did not pass, and why."""

import base64
import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table, raw_text
from kasparro.cli.secrets import know_secrets
from kasparro.core.masking import mask_known

_LISTED: Final = ("id", "source", "run_id", "code", "field", "record_key", "locator", "times", "message")
_SHOWN_CHARACTERS: Final = 2_000


class RejectState(StrEnum):
    """What became of a reject; `all` for any of them."""

    open = "open"
    requeued = "requeued"
    resolved = "resolved"
    dropped = "dropped"
    all = "all"


SourceOption = Annotated[str | None, typer.Option("--source", help="Only rejects of this source.")]
RunOption = Annotated[int | None, typer.Option("--run", help="Only those that this run saw last.")]
StateOption = Annotated[RejectState, typer.Option("--state", help="Only those in this state.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")]


@command(example="kasparro rejects list --source flights --limit 5")
async def list_rejects(
    context: Context,
    source: SourceOption = None,
    run: RunOption = None,
    state: StateOption = RejectState.open,
    limit: LimitOption = 50,
) -> Result:
    """Show rejected records, one line for each reason, those seen last first. One that loads later is resolved."""
    from kasparro.services import rejects, sources

    know_secrets(context)
    wanted = None if state is RejectState.all else state.value
    async with connected(context, "rejects") as connection:
        if source is not None:
            await sources.get(connection, source)
        rows = await rejects.latest(connection, source=source, run_id=run, state=wanted, limit=limit)
    table = Table(_LISTED, [[row[name] for name in _LISTED] for row in rows], right=("id", "run_id", "times"))
    return Result(rows, [table] if rows else [f"no {'' if wanted is None else wanted + ' '}reject"])


@command(example="kasparro rejects show 7")
async def show_reject(
    context: Context, reject: Annotated[int, typer.Argument(metavar="ID", help="A reject's number.")]
) -> Result:
    """Show one rejected record: why, where it came from, and what came."""
    from kasparro.services import rejects

    know_secrets(context)
    async with connected(context, "rejects") as connection:
        row = await rejects.find(connection, reject)
    payload: dict[str, Any] | None = row["payload"] and json.loads(row["payload"], parse_float=Decimal)
    reason = [(name, value) for name, value in row.items() if name != "payload"]
    human: list[str | Table] = [Table(("field", "value"), reason), ""]
    if payload is None:
        human.append("its payload is kept no more")
    elif set(payload) == {"_unstorable"}:
        payload = {"_unstorable": _without_secrets(payload["_unstorable"])}
        human += ["payload, which jsonb cannot hold:", _as_it_came(payload["_unstorable"])]
    else:
        human.append(Table(("payload", "value"), [(name, raw_text(value)) for name, value in payload.items()]))
    return Result({**row, "payload": payload}, human)


def _without_secrets(encoded: str) -> str:
    """The same bytes without registered secrets, in base64 again."""
    text = base64.b64decode(encoded).decode("utf-8", "surrogateescape")
    return base64.b64encode(mask_known(text).encode("utf-8", "surrogateescape")).decode()


def _as_it_came(encoded: str) -> str:
    """The first 2,000 characters, with escapes for what no terminal takes."""
    return ascii(base64.b64decode(encoded).decode("utf-8", "replace")[:_SHOWN_CHARACTERS])[1:-1]
