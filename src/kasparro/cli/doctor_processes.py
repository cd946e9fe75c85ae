"""What `kasparro doctor` says of the processes of a home: who runs, where, since which settings, and what to do."""

from typing import Final

from kasparro.cli.background import DEMO, SCHEDULER, SERVER, TITLES, Background
from kasparro.cli.finding import Finding
from kasparro.cli.frame import Context
from kasparro.cli.processes import Running
from kasparro.cli.restarting import Outdated, find_outdated
from kasparro.core.errors import ConfigurationError

_RESTART: Final = "`kasparro down`, then `kasparro up`"
_TODO_OF_SERVER: Final = {
    "unavailable": "its database does not answer: mend what `database` says above; the server goes on by itself then",
    "migrations_pending": "`kasparro migrate`; the server goes on by itself then",
    "database_newer": "install the kasparro that made the database, or a newer one",
    "database_unknown": "give kasparro a database of its own",
}


async def check_server(context: Context) -> list[Finding]:
    """The API server, asked for its health; else whether its port is free."""
    import asyncio

    from kasparro.cli.health_probe import ask_health
    from kasparro.core.address import is_taken, require_decided

    settings = context.settings
    require_decided(settings.host, read_key_required=settings.read_key_required)
    server = Background(settings.home, SERVER).find()
    if server is not None:
        report = await asyncio.to_thread(ask_health, server.host, server.port)
        if report is not None and report["status"] == "ok":
            return [_running(server, find_outdated(settings, SERVER, settings.host, settings.port), SERVER)]
        state = "does not answer" if report is None else str(report["status"])
        found = f"{server.url} {state if report is None else f'says {state}'}"
        return [Finding(TITLES[SERVER], "fail", found, _TODO_OF_SERVER.get(state, _RESTART), 1)]
    if is_taken(settings.host, settings.port):
        found = f"{settings.host}:{settings.port} is taken by another program"
        return [Finding("port", "warn", found, f"stop it, or set KASPARRO_PORT={settings.port + 1}")]
    return [Finding("port", "ok", f"{settings.host}:{settings.port} is free; the API server does not run")]


async def check_scheduler(context: Context) -> list[Finding]:
    """The scheduler of this home."""
    settings = context.settings
    scheduler = Background(settings.home, SCHEDULER).find()
    if scheduler is not None:
        try:
            return [_running(scheduler, find_outdated(settings, SCHEDULER), SCHEDULER)]
        except ConfigurationError:
            found = f"running (process {scheduler.pid}), with a configuration that can no longer be read"
            return [Finding(TITLES[SCHEDULER], "warn", found, "mend what `configuration` says above")]
    todo = "`kasparro up` starts it; until then only `kasparro run` loads"
    if settings.database_url is not None:
        todo = "`kasparro scheduler` starts it, unless it runs elsewhere"
    return [Finding(TITLES[SCHEDULER], "warn", "not running in this home", todo)]


async def check_demo(context: Context) -> list[Finding]:
    """The demo upstream, where a source reads from it or it runs."""
    from kasparro.cli.demo_process import HOST, is_wanted
    from kasparro.core.address import is_taken

    settings = context.settings
    demo = Background(settings.home, DEMO).find()
    if demo is not None:
        return [_running(demo, find_outdated(settings, DEMO, HOST, settings.demo_port), DEMO)]
    try:
        if not is_wanted(context):
            return [Finding(TITLES[DEMO], "ok", "not running, and no source reads from it")]
    except ConfigurationError:
        found = "not running; without a configuration nobody knows whether it is needed"
        return [Finding(TITLES[DEMO], "warn", found, "mend what `configuration` says above")]
    if is_taken(HOST, settings.demo_port):
        found = f"not running, and its port {settings.demo_port} on {HOST} is taken by another program"
        return [Finding(TITLES[DEMO], "fail", found, f"stop it, or set KASPARRO_DEMO_PORT={settings.demo_port + 1}", 4)]
    return [Finding(TITLES[DEMO], "warn", "not running, and sources read from it", "`kasparro up` starts it")]


def _running(process: Running, outdated: Outdated | None, name: str) -> Finding:
    where = f"running at {process.url}" if process.host else "running"
    found = f"{where} (process {process.pid}), started "
    if outdated is None:
        return Finding(TITLES[name], "ok", f"{found}with the present settings")
    todo = (
        "`kasparro up --detach` starts it anew" if process.detached else "it was started by hand: restart it yourself"
    )
    return Finding(TITLES[name], "warn", f"{found}with another {outdated.difference}", todo)
