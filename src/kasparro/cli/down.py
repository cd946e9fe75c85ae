"""`kasparro down`: stop what runs in the background here; data stays."""

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result


@command(example="kasparro down")
async def down(context: Context) -> Result:
    """Stop the API server and the embedded PostgreSQL of this home. Nothing is deleted; fine when nothing runs."""
    import asyncio

    from kasparro.cli.background import SERVER, Background
    from kasparro.core import embedded

    settings = context.settings
    server = await asyncio.to_thread(Background(settings.home, SERVER).stop)
    database_stopped = settings.database_url is None and await embedded.stop(settings.home)
    said = [f"stopped the API server at {server.url} (process {server.pid})"] if server else []
    if database_stopped:
        said.append("stopped the embedded PostgreSQL; its data stays")
    if settings.database_url is not None:
        said.append("the database of DATABASE_URL was left alone")
    if not server and not database_stopped:
        said.insert(0, "nothing was running")
    return Result({"server_stopped": server is not None, "database_stopped": database_stopped}, said)
