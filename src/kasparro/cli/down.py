"""`kasparro down`: stop what runs in the background here; data stays."""

from typing import TYPE_CHECKING, Annotated

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result

if TYPE_CHECKING:
    from kasparro.services.locks import ActiveRun

ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Also when runs are at work (what they have not committed is read again). A PostgreSQL that does not stop "
        "by itself is ended within 20 s; its next start recovers.",
    ),
]


@command(example="kasparro down")
async def down(context: Context, force: ForceOption = False) -> Result:
    """Stop what runs in the background of this home, and its embedded PostgreSQL. Nothing is deleted.

    Refused with exit code 8 while runs that were started by hand use that PostgreSQL, unless forced.
    """
    import asyncio

    from kasparro.cli.background import DEMO, SCHEDULER, SERVER, Background, patience
    from kasparro.core import embedded

    settings = context.settings
    if not force:
        await _require_no_runs(context)
    said: list[str] = []
    stopped: dict[str, bool] = {}
    for name in (SCHEDULER, SERVER, DEMO):
        background = Background(settings.home, name)
        running = await asyncio.to_thread(background.stop, within_seconds=patience(settings))
        stopped[name] = running is not None
        if running is not None:
            where = f" at {running.url}" if running.host else ""
            said.append(f"stopped the {background.title}{where} (process {running.pid})")
    database_stopped = settings.database_url is None and await embedded.stop(
        settings.home, force=force, report=context.note
    )
    if database_stopped:
        said.append(f"stopped the embedded PostgreSQL; its data stays in {embedded.status(settings.home).folder}")
    if not (database_stopped or any(stopped.values())):
        said.insert(0, "nothing was running")
    if settings.database_url is not None:
        said.append("the database of DATABASE_URL was left alone")
    data = {"server_stopped": stopped[SERVER], "scheduler_stopped": stopped[SCHEDULER], "demo_stopped": stopped[DEMO]}
    return Result({**data, "database_stopped": database_stopped}, said)


async def _require_no_runs(context: Context) -> None:
    """The scheduler ends its own runs well; others would lose their database. Raises RunConflictError."""
    import asyncio

    from kasparro.cli.background import SCHEDULER, Background
    from kasparro.core import embedded
    from kasparro.core.errors import RunConflictError

    settings = context.settings
    if settings.database_url is not None or not embedded.status(settings.home).running:
        return
    scheduled = await asyncio.to_thread(Background(settings.home, SCHEDULER).find) is not None
    runs = await _active_runs(context)
    others = [run for run in runs if not (scheduled and run.trigger in {"schedule", "api"})]
    if others:
        names = ", ".join(f"{run.source} (run {run.id})" if run.id else run.source for run in others)
        raise RunConflictError(
            f"runs are at work on this database: {names}; nothing was stopped",
            hint="wait for them, end them, or use `kasparro down --force`: the next run goes on where they were",
        )


async def _active_runs(context: Context) -> "list[ActiveRun]":
    """None of a database that has no tables yet, or cannot be asked: then it may be stopped."""
    from kasparro.cli.database import connect_briefly
    from kasparro.core.database import house_errors, resolve
    from kasparro.core.errors import DatabaseError
    from kasparro.services.locks import active_runs
    from kasparro.services.migrations import require_current

    try:
        connection = await connect_briefly(await resolve(context.settings), "down")
        try:
            with house_errors():
                await require_current(connection)
                return await active_runs(connection)
        finally:
            connection.terminate()
    except DatabaseError as error:
        context.note(f"not asked for active runs: {error.message}")
        return []
