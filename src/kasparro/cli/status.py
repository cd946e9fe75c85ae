"""`kasparro status`: what runs, and the last run of each source. Starts nothing."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import EXIT_DATABASE, EXIT_OK

if TYPE_CHECKING:
    from kasparro.cli.processes import Running
    from kasparro.services.health import LatestRun, SourceStatus


_MESSAGE_CHARACTERS: Final = 160
_SCHEMA: Final = {
    "current": "",
    "pending": ", schema pending: run `kasparro migrate`",
    "newer": ", schema {0.current} is newer than this version ({0.needed}): install the kasparro that made it",
    "unknown": ", schema is at an unknown revision, {0.current!r}: give kasparro a database of its own",
}
"""What to say of each state."""


WatchOption = Annotated[bool, typer.Option("--watch", help="Show each source again and again, until q or Ctrl-C.")]
EveryOption = Annotated[
    float, typer.Option("--every", min=0.2, max=3600, help="With --watch: seconds from one look to the next.")
]


@command(example="kasparro status --watch")
async def status(context: Context, watch: WatchOption = False, every: EveryOption = 2.0) -> Result | None:
    """Show what runs here, and how each source fared: its last run, and what all of its runs wrote. With --watch, each
    source on one screen: progress, what is open, when it is read next."""
    if watch:
        from kasparro.cli.watching import watch as look_on

        return await look_on(context, every)
    return await _shown(context)


async def _shown(context: Context) -> Result:
    from kasparro.cli.background import SERVER, TITLES, Background
    from kasparro.core import embedded
    from kasparro.core.errors import DatabaseError

    sources: list[SourceStatus] = []
    try:
        database, sources, exit_code = await _database(context)
    except DatabaseError as error:
        context.output.complain(error)
        database, exit_code = error.message, error.exit_code
    folder = None if context.settings.database_url else str(embedded.status(context.settings.home).folder)
    processes = {name: Background(context.settings.home, name).find() for name in TITLES}
    server = processes[SERVER]
    data = {
        "server": {"running": server is not None, **({"url": server.url, "pid": server.pid} if server else {})},
        "processes": {name: None if process is None else process.pid for name, process in processes.items()},
        "database": {"state": database, "folder": folder},
        "sources": [asdict(source) for source in sources],
    }
    where = [] if folder is None else [("its folder", folder)]
    rows = [("database", database), *where, *((TITLES[name], _told(process)) for name, process in processes.items())]
    human = [Table(("what", "state"), rows), *(["", *shown_sources(sources)] if sources else [])]
    return Result(data, human, exit_code)


def shown_sources(sources: "list[SourceStatus]") -> "list[str | Table]":
    """The table of the sources, and below it why the last run of one did not end well, and where to see more of it."""
    failed = [_failure(source.name, source.last_run) for source in sources if source.last_run is not None]
    lines = [line for line in failed if line]
    return [_sources_table(sources), *(["", *lines] if lines else [])]


def _failure(name: str, run: "LatestRun") -> str:
    if run.error_code is None:
        return ""
    message = " ".join((run.error_message or "").split()).removeprefix(f"{name}: ")
    shown = message if len(message) <= _MESSAGE_CHARACTERS else f"{message[:_MESSAGE_CHARACTERS]}..."
    return f"{name}: {run.error_code}: {shown} (`kasparro runs show {run.id}`)"


def _sources_table(sources: "list[SourceStatus]") -> Table:
    """One line for each source: how its last run ended and what it did."""
    columns = (
        "source", "type", "last run", "state", "finished", "inserted", "updated", "unchanged", "rejected",
        "inserted in all", "updated in all",
    )  # fmt: skip
    return Table(columns, [_row(source) for source in sources], right=columns[5:])


def _told(process: "Running | None") -> str:
    if process is None:
        return "not running"
    return f"running{f' at {process.url}' if process.host else ''} (process {process.pid})"


def _row(source: "SourceStatus") -> tuple[object, ...]:
    run = source.last_run
    totals = (source.inserted_in_all, source.updated_in_all)
    if run is None:
        return (source.name, source.type, "never", *[None] * 6, *totals)
    counts = (run.inserted, run.updated, run.unchanged, run.rejected)
    return (source.name, source.type, run.id, run.state, run.finished_at, *counts, *totals)


async def _database(context: Context) -> "tuple[str, list[SourceStatus], int]":
    """What to say of the database, its sources where they can be read, and the exit code. Starts no server."""
    from kasparro.cli.database import connect_briefly
    from kasparro.core import embedded
    from kasparro.core.database import house_errors, resolve
    from kasparro.services.health import read_schema_status, read_source_statuses

    if context.settings.database_url is None and not embedded.status(context.settings.home).running:
        return "embedded PostgreSQL, not running", [], EXIT_OK
    options = await resolve(context.settings)
    connection = await connect_briefly(options, "status")
    try:
        with house_errors():
            schema = await read_schema_status(connection)
            current = schema.state == "current"
            sources = await read_source_statuses(connection) if current else []
    finally:
        await connection.close()
    told = _SCHEMA[schema.state].format(schema)
    return f"{options}{told}", sources, EXIT_OK if schema.state in {"current", "pending"} else EXIT_DATABASE
