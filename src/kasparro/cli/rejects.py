"""`kasparro rejects list|show|drop`: records that did not pass, and why. Requeuing them is in `requeue.py`."""

import base64
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table, raw_text
from kasparro.cli.secrets import know_secrets
from kasparro.core.errors import ConfigurationError, NotFoundError, UsageError
from kasparro.core.masking import mask_known

if TYPE_CHECKING:
    from kasparro.core.database import Connection
    from kasparro.services.reject_lists import RejectFilter, RejectGroup

_LISTED: Final = ("id", "source", "run_id", "code", "field", "record_key", "locator", "times", "message")
_GROUPED: Final = (
    "group", "source", "code", "field", "payloads", "times", "would_pass", "last_seen_at", "example", "message",
)  # fmt: skip
_SHOWN_CHARACTERS: Final = 2_000


class RejectState(StrEnum):
    """What became of a reject; `all` for any of them."""

    open = "open"
    requeued = "requeued"
    resolved = "resolved"
    dropped = "dropped"
    all = "all"


SourceOption = Annotated[str | None, typer.Option("--source", help="Only rejects of this source.")]
CodeOption = Annotated[str | None, typer.Option("--code", help="Only those with this code.")]
FieldOption = Annotated[str | None, typer.Option("--field", help="Only those of this field.")]
RunOption = Annotated[int | None, typer.Option("--run", help="Only those that this run saw last; one line each.")]
StateOption = Annotated[RejectState, typer.Option("--state", help="Only those in this state.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")]
EachOption = Annotated[bool, typer.Option("--each", help="One line for each reason, those seen last first.")]
WouldPassOption = Annotated[
    bool, typer.Option("--would-pass/--no-would-pass", help="Judge what another mapping has rejected by today's.")
]
ChosenArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID|GROUP", help="Numbers of rejects, or fingerprints of groups.")
]


@command(example="kasparro rejects list --source flights --limit 5")
async def list_rejects(  # noqa: PLR0913  one for each option
    context: Context,
    *,
    source: SourceOption = None,
    code: CodeOption = None,
    field: FieldOption = None,
    run: RunOption = None,
    state: StateOption = RejectState.open,
    limit: LimitOption = 50,
    each: EachOption = False,
    would_pass: WouldPassOption = True,
) -> Result:
    """Show rejected records in groups that fail for the same reason, the largest first.

    `would_pass` says how many of a group's payloads today's mapping would take, where another one has rejected them.
    One that loads later is resolved by itself.
    """
    from kasparro.services import reject_lists, sources
    from kasparro.services.reject_lists import RejectFilter

    know_secrets(context)
    chosen = RejectFilter(source, code, field, run, None if state is RejectState.all else state.value)
    async with connected(context, "rejects") as connection:
        if source is not None:
            await sources.get(connection, source)
        if each or run is not None:
            return _one_by_one(await reject_lists.latest(connection, chosen, limit=limit), chosen)
        groups = await reject_lists.groups(connection, chosen, limit=limit)
        wanted = would_pass and state in (RejectState.open, RejectState.all)
        passing = await _would_pass(context, connection, groups, chosen) if wanted else {}
    return _grouped(groups, passing, chosen)


@command(example="kasparro rejects show 7")
async def show_reject(
    context: Context,
    reject: Annotated[str, typer.Argument(metavar="ID|GROUP", help="A reject's number, or a group's fingerprint.")],
) -> Result:
    """Show one rejected record: why, where it came from, and what came. Or a group of them, with examples."""
    from kasparro.services import rejects

    know_secrets(context)
    chosen = chosen_of([reject])
    async with connected(context, "rejects") as connection:
        if chosen.groups:
            return await _shown_group(connection, chosen)
        row = await rejects.find(connection, chosen.ids[0])
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


@command(example="kasparro rejects drop f3a91c04e2b --why 'test data of the vendor'")
async def drop_rejects(
    context: Context,
    why: Annotated[str, typer.Option("--why", help="The reason; it is kept with them.")],
    rejects: ChosenArgument = None,
    source: SourceOption = None,
    code: CodeOption = None,
    field: FieldOption = None,
) -> Result:
    """Give open rejects up: they are kept with the reason, and no longer open. Nothing is deleted.

    One that is seen again, with the same payload and the same code, stays dropped.
    """
    from kasparro.services import reject_lists, sources

    if not why.strip():
        raise UsageError("rejects drop: --why is empty")
    chosen = chosen_of(rejects or [], source=source, code=code, field=field)
    if not chosen.as_json():
        raise UsageError("rejects drop: say which: numbers, groups, --source, --code or --field")
    async with connected(context, "rejects") as connection:
        if source is not None:
            await sources.get(connection, source)
        dropped = await reject_lists.drop(connection, chosen, why=why.strip(), at=datetime.now(UTC))
    told = [f"{name}: {count:,} dropped" for name, count in dropped.items()]
    return Result(
        {"dropped": dropped, "why": why.strip()}, told or ["nothing dropped: no open reject is of this choice"]
    )


def chosen_of(
    names: Sequence[str], *, source: str | None = None, code: str | None = None, field: str | None = None
) -> "RejectFilter":
    """The open rejects that a command line names. Raises UsageError for what is no number and no fingerprint."""
    from kasparro.services.reject_lists import FINGERPRINT_PATTERN, RejectFilter

    groups = tuple(name for name in names if re.fullmatch(FINGERPRINT_PATTERN, name))
    numbers = [name for name in names if name not in groups]
    for name in numbers:
        if not re.fullmatch("[0-9]{1,30}", name):
            raise UsageError(
                f'"{name}" is neither the number of a reject nor the fingerprint of a group',
                hint="see `kasparro rejects list`, and `--each` for numbers",
            )
    return RejectFilter(source, code, field, ids=tuple(map(int, numbers)), groups=groups)


def _one_by_one(rows: list[dict[str, Any]], chosen: "RejectFilter") -> Result:
    table = Table(_LISTED, [[row[name] for name in _LISTED] for row in rows], right=("id", "run_id", "times"))
    return Result(rows, [table] if rows else [_none(chosen)])


def _grouped(groups: "list[RejectGroup]", passing: dict[str, int], chosen: "RejectFilter") -> Result:
    data = [{**_as_data(group), "would_pass": passing.get(group.fingerprint)} for group in groups]
    rows = [[_cell(row, name) for name in _GROUPED] for row in data]
    table = Table(_GROUPED, rows, right=("payloads", "times", "would_pass"))
    return Result(data, [table] if rows else [_none(chosen)])


def _as_data(group: "RejectGroup") -> dict[str, Any]:
    fields = asdict(group)
    return {"group": fields.pop("fingerprint"), "message": fields.pop("says"), **fields}


def _cell(row: dict[str, Any], name: str) -> object:
    return row["examples"][-1]["locator"] if name == "example" else row[name]


def _none(chosen: "RejectFilter") -> str:
    return f"no {'' if chosen.state is None else chosen.state + ' '}reject"


async def _shown_group(connection: "Connection", chosen: "RejectFilter") -> Result:
    from kasparro.services import reject_lists

    groups = await reject_lists.groups(connection, replace(chosen, state=None), limit=1)
    if not groups:
        raise NotFoundError(f"group {chosen.groups[0]}: no reject is of this group", hint="see `kasparro rejects list`")
    data = _as_data(groups[0])
    about = [(name, value) for name, value in data.items() if name != "examples"]
    columns = ("id", "locator", "record_key", "raw_id", "message")
    examples = Table(columns, [[example[name] for name in columns] for example in data["examples"]])
    return Result(data, [Table(("field", "value"), about), "", examples])


async def _would_pass(
    context: Context, connection: "Connection", groups: "list[RejectGroup]", chosen: "RejectFilter"
) -> dict[str, int]:
    """By fingerprint, of the sources that are configured; none where the configuration cannot be read."""
    from kasparro.ingestion.job import watched_by
    from kasparro.ingestion.operations.judging import would_pass
    from kasparro.ingestion.registry import build_transformer
    from kasparro.schemas.configuration import load_configuration, mapping_hash

    try:
        configured = load_configuration(context.config_path, os.environ).sources
    except ConfigurationError:
        context.note(f"{context.config_path} cannot be read: what would pass now is not known")
        return {}
    passing: dict[str, int] = {}
    names = {group.source for group in groups}
    for config in configured:
        if config.name in names:
            own = replace(chosen, source=config.name, state="open")
            transformer = build_transformer(config)
            passing |= await would_pass(
                connection, config.name, own, transformer, mapping_hash(config), watched=watched_by(config)
            )
    return passing


def _without_secrets(encoded: str) -> str:
    """The same bytes without registered secrets, in base64 again."""
    text = base64.b64decode(encoded).decode("utf-8", "surrogateescape")
    return base64.b64encode(mask_known(text).encode("utf-8", "surrogateescape")).decode()


def _as_it_came(encoded: str) -> str:
    """The first 2,000 characters, with escapes for what no terminal takes."""
    return ascii(base64.b64decode(encoded).decode("utf-8", "replace")[:_SHOWN_CHARACTERS])[1:-1]
