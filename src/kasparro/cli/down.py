"""`kasparro down`: stop what runs in the background here; data stays."""

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result


@command(example="kasparro down")
async def down(context: Context) -> Result:
    """Stop what runs in the background of this home, and its embedded PostgreSQL. Nothing is deleted."""
    import asyncio

    from kasparro.cli.background import DEMO, SCHEDULER, SERVER, Background
    from kasparro.core import embedded

    settings = context.settings
    said: list[str] = []
    stopped: dict[str, bool] = {}
    for name in (SCHEDULER, SERVER, DEMO):
        background = Background(settings.home, name)
        running = await asyncio.to_thread(background.stop)
        stopped[name] = running is not None
        if running is not None:
            where = f" at {running.url}" if running.host else ""
            said.append(f"stopped the {background.title}{where} (process {running.pid})")
    database_stopped = settings.database_url is None and await embedded.stop(settings.home)
    if database_stopped:
        said.append("stopped the embedded PostgreSQL; its data stays")
    if not (database_stopped or any(stopped.values())):
        said.insert(0, "nothing was running")
    if settings.database_url is not None:
        said.append("the database of DATABASE_URL was left alone")
    data = {"server_stopped": stopped[SERVER], "scheduler_stopped": stopped[SCHEDULER], "demo_stopped": stopped[DEMO]}
    return Result({**data, "database_stopped": database_stopped}, said)
