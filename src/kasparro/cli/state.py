"""`kasparro state show|set|clear|digest`: where the next run of a source goes on, and what its records add up to."""

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import EXIT_DIFFERENCES, EXIT_OK, UsageError

if TYPE_CHECKING:
    from kasparro.services.checkpoints import Checkpoint

_COLUMNS = ("partition", "lane", "pass_id", "run_id", "seq", "ordinal", "coverage", "cursor")
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="A source's name.")]
PartitionOption = Annotated[str | None, typer.Option("--partition", help="Only this partition, such as a file.")]


@command(example="kasparro state show flights")
async def show_state(context: Context, source: SourceArgument) -> Result:
    """Show each partition's checkpoints: lane -1 is what its last complete pass left behind."""
    from kasparro.services import checkpoints, sources

    async with connected(context, "state") as connection:
        found = await sources.get(connection, source)
        rows = await checkpoints.all_of(connection, found.id)
    data = [{name: getattr(row, name) for name in _COLUMNS} for row in rows]
    table = Table(_COLUMNS, [list(row.values()) for row in data], right=_COLUMNS[1:6])
    return Result(data, [table] if rows else [f"{source}: no checkpoint; the next run reads from the start"])


@command(example="kasparro state set flights --partition data/flights.csv '{\"offset\": 0}'")
async def set_state(
    context: Context,
    source: SourceArgument,
    cursor: Annotated[str, typer.Argument(metavar="JSON", help="The partition's state, as `state show` prints it.")],
    partition: PartitionOption = None,
) -> Result:
    """Put a partition's settled state (lane -1) by hand; the next run starts a pass from it."""
    from kasparro.ingestion.operations.state import set_settled

    value = _json_object(cursor)
    if partition is None:
        raise UsageError("state set: --partition is missing", hint=f"see `kasparro state show {source}`")
    before = await set_settled(await _options(context), source, partition, value)
    return Result({"source": source, "partition": partition, "before": before, "after": value})


@command(example="kasparro state clear flights")
async def clear_state(context: Context, source: SourceArgument, partition: PartitionOption = None) -> Result:
    """Forget a source's checkpoints: the next run reads from the start. Records stay, and none is doubled."""
    from kasparro.ingestion.operations.state import clear

    removed = await clear(await _options(context), source, partition)
    data = {"source": source, "removed": [_removed(row) for row in removed]}
    return Result(data, [f"{source}: {len(removed)} checkpoints removed; the next run reads from the start"])


@command(example="kasparro state digest flights --verify")
async def show_digest(
    context: Context,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="A source's name (default: all).")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compute it anew from every record and compare.")] = False,
) -> Result:
    """Show each source's digest: equal digests mean equal records. With --verify, exit 9 if one differs."""
    from kasparro.services import digest, sources

    async with connected(context, "state") as connection:
        names = [source] if source is not None else [row["name"] for row in await sources.list_all(connection)]
        rows: list[dict[str, Any]] = []
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for name in names:
                found = await sources.get(connection, name)
                row: dict[str, Any] = {"source": name, "digest": digest.as_text(await digest.now(connection, found.id))}
                if verify:
                    row["recomputed"] = digest.as_text(await digest.recompute(connection, found.id))
                    row["verified"] = row["recomputed"] == row["digest"]
                rows.append(row)
    differs = any(row.get("verified") is False for row in rows)
    table = Table(list(rows[0]) if rows else ["source", "digest"], [list(row.values()) for row in rows])
    return Result(rows, [table], EXIT_DIFFERENCES if differs else EXIT_OK)


def _json_object(text: str) -> dict[str, Any]:
    """What the text says, in the form in which it is stored. Raises UsageError for what jsonb cannot hold."""
    from kasparro.core.canonical import UnstorableError, payload_json

    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, allow_nan=False)
    except RecursionError:
        raise UsageError("state set: the JSON is nested too deep") from None
    except ValueError as error:
        raise UsageError(f"state set: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("state set: expected a JSON object", hint="see `kasparro state show`")
    state = cast("dict[str, Any]", value)
    try:
        payload_json(state)
    except UnstorableError as error:
        raise UsageError(f"state set: the database cannot hold this JSON: {error}") from None
    return state


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


async def _options(context: Context) -> Any:
    from kasparro.core.database import resolve

    return await resolve(context.settings, report=context.note)


def _removed(row: "Checkpoint") -> dict[str, Any]:
    return {"partition": row.partition, "lane": row.lane, "ordinal": row.ordinal, "cursor": row.cursor}
