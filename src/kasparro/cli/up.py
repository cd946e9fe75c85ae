"""`kasparro up`: everything on one machine, from an empty folder to an API that answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kasparro.cli.frame import Context, cancel_on_signals, command
from kasparro.cli.output import Result
from kasparro.cli.progress import step
from kasparro.cli.scheduler_start import start_scheduler, stop_gently
from kasparro.cli.status import shown_sources
from kasparro.core.errors import EXIT_CONFLICT, EXIT_OK, EXIT_SIGINT, EXIT_SIGTERM, ConfigurationError

if TYPE_CHECKING:
    from kasparro.cli.background import Background
    from kasparro.cli.processes import Running
    from kasparro.core.database import ConnectionOptions
    from kasparro.services.health import SourceStatus

DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return once the API answers; it stays in the background.")
]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """How the first load ended: the exit code, and the sources that were not loaded."""

    exit_code: int
    failed: tuple[str, ...]

    def told(self, *, ends: bool) -> list[str]:
        """The last line that people see, where something failed; the exit code is this one if the command `ends`."""
        if not self.failed:
            return []
        therefore = f"; so the exit code is {self.exit_code}" if ends else ""
        return [f"Not loaded: {', '.join(self.failed)} (why is said above){therefore}."]


@command(example="kasparro up --detach")
async def up(context: Context, detach: DetachOption = False) -> Result | None:
    """Start the database, apply migrations, load every source once, and serve the API.

    Running it again is fine: what runs in the background goes on, and is started anew only where settings,
    configuration or kasparro itself are no longer those that it was started with.
    """
    server = await asyncio.to_thread(_find_or_require_free, context)
    await asyncio.to_thread(_stop_outdated_scheduler, context)
    await asyncio.to_thread(_start_demo, context)
    options = await _prepare_database(context)
    loaded = await _load(context, options)
    sources = await _read_sources(options)
    if loaded.exit_code in {EXIT_SIGINT, EXIT_SIGTERM}:
        return Result([asdict(source) for source in sources], shown_sources(sources), loaded.exit_code)
    if detach or server is not None:
        server = await asyncio.to_thread(_start_in_background, context)
        await start_scheduler(context, options)
        if not detach:
            context.note(f"the API server runs in another process: {server.url}")
        return _summary(context, server.url, sources, loaded)
    await _serve(context, options, sources, loaded)
    return None


def _find_or_require_free(context: Context) -> "Running | None":
    """Our own server if it runs; where it does not, or is to move, the port must be free.

    Raises ConfigurationError naming who holds it.
    """
    from kasparro.cli.background import SERVER, Background
    from kasparro.cli.health_probe import ask_health
    from kasparro.core.address import is_taken, require_decided

    settings = context.settings
    require_decided(settings.host, read_key_required=settings.read_key_required)
    background, wanted = Background(settings.home, SERVER), (settings.host, settings.port)

    def is_settled(server: "Running | None") -> bool:
        return server is not None and (not server.detached or (server.host, server.port) == wanted)

    server = background.find()
    if not is_settled(server) and is_taken(*wanted) and not is_settled(server := background.find()):
        other = ask_health(settings.host, settings.port) is not None
        holder = "a kasparro of another folder" if other else "another program"
        raise ConfigurationError(
            f"port {settings.port} on {settings.host} is taken by {holder}",
            hint=f"stop it, or choose another port: KASPARRO_PORT={settings.port + 1}",
        )
    return server


def _stop_outdated_scheduler(context: Context) -> None:
    """Before anything is loaded: it would get in the way with what no longer holds."""
    from kasparro.cli.background import SCHEDULER
    from kasparro.cli.restarting import stop_outdated

    stop_outdated(context, SCHEDULER)


async def _prepare_database(context: Context) -> "ConnectionOptions":
    from kasparro.core.database import resolve
    from kasparro.services.migrations import upgrade

    with step(context.output, "database", unit=None):
        options = await resolve(context.settings, report=context.note)
    with step(context.output, "migrations", unit=None):
        await upgrade(options, report=context.note)
    return options


async def _load(context: Context, options: "ConnectionOptions") -> _Loaded:
    """Run every source once; the exit code is that of `kasparro run`. One that fails keeps no other from work.

    A source that another process loads at the moment is loaded, which is all that is wanted.
    """
    from kasparro.cli.jobs import open_jobs
    from kasparro.cli.loading import run_jobs
    from kasparro.ingestion.coordinator import Request

    request = Request(trigger="cli", lanes=context.settings.lanes)
    async with open_jobs(context, []) as jobs:
        outcomes, exit_code = await run_jobs(context, options, jobs, request, context.settings.inject)
    task = asyncio.current_task()
    assert task is not None
    cancel_on_signals(task)
    errors = {outcome.source: outcome.error for outcome in outcomes if outcome.error is not None}
    failed = tuple(source for source, error in errors.items() if error.exit_code != EXIT_CONFLICT)
    return _Loaded(EXIT_OK if exit_code == EXIT_CONFLICT else exit_code, failed)


async def _read_sources(options: "ConnectionOptions") -> "list[SourceStatus]":
    from kasparro.core.database import connect, house_errors
    from kasparro.services.health import read_source_statuses

    connection = await connect(options, application_name="kasparro:up")
    try:
        with house_errors():
            return await read_source_statuses(connection)
    finally:
        await connection.close()


def _start_in_background(context: Context) -> "Running":
    """Our own server, started (anew where it is outdated) unless it runs; returns once it answers."""
    from kasparro.cli.background import SERVER, Background
    from kasparro.cli.health_probe import wait_for_health
    from kasparro.cli.restarting import stop_outdated
    from kasparro.core.errors import KasparroError

    stop_outdated(context, SERVER, context.settings.host, context.settings.port)
    with step(context.output, "API server", unit=None):
        background = Background(context.settings.home, SERVER)
        started, server = _start_or_find(context, background)
        try:
            wait_for_health(server, lambda: background.find() is not None)
        except KasparroError as error:
            error.hint = f"its log is {background.log_path}, ending with:\n{background.log_tail()}"
            if started:
                background.stop()
            raise
    return server


def _start_or_find(context: Context, background: "Background") -> "tuple[bool, Running]":
    """Whether this process started it, and the server."""
    from kasparro.cli.background import SERVER
    from kasparro.cli.fingerprint import take
    from kasparro.core.errors import RunConflictError

    running = background.find()
    if running is not None:
        return False, running
    settings = context.settings
    host, port = settings.host, settings.port
    arguments = ["serve", "--host", host, "--port", str(port)]
    try:
        return True, background.start(arguments, host, port, take(settings, SERVER, host, port))
    except RunConflictError:
        return _start_or_find(context, background)


def _start_demo(context: Context) -> None:
    """Start the demo upstream (anew where it is outdated) if a source reads from it, and wait until it answers."""
    from kasparro.cli.demo_process import is_wanted, start_demo, stop_outdated_demo

    if is_wanted(context):
        stop_outdated_demo(context)
        with step(context.output, "demo upstream", unit=None):
            start_demo(context.settings)


async def _serve(
    context: Context, options: "ConnectionOptions", sources: "list[SourceStatus]", loaded: _Loaded
) -> None:
    """Serve in the foreground until stopped; the embedded server stays, for other processes may use it."""
    from kasparro.api.server import serve
    from kasparro.cli.background import DEMO, SCHEDULER, SERVER, Background, patience
    from kasparro.cli.fingerprint import take
    from kasparro.cli.processes import Running
    from kasparro.core.log_levels import levels_of
    from kasparro.core.logging import configure_logging

    settings = context.settings
    levels = levels_of(settings.log_levels)
    configure_logging(settings.log_level, service="up", stream=context.output.log_stream, levels=levels)
    url = Running(0, settings.host, settings.port).url

    def announce() -> None:
        context.output.emit(_summary(context, url, sources, loaded, ends=False))
        context.note("Ctrl-C stops the API server; `kasparro down` the database as well")

    fingerprint = take(settings, SERVER, settings.host, settings.port)
    with Background(settings.home, SERVER).held(settings.host, settings.port, fingerprint):
        try:
            await start_scheduler(context, options)
            await serve(options, settings, host=settings.host, port=settings.port, on_ready=announce)
        finally:
            await stop_gently(Background(settings.home, SCHEDULER), within_seconds=patience(settings))
            await asyncio.to_thread(Background(settings.home, DEMO).stop)


def _summary(
    context: Context, url: str, sources: "list[SourceStatus]", loaded: _Loaded, *, ends: bool = True
) -> Result:
    data: Mapping[str, Any] = {
        "url": url,
        "config": context.config_path,
        "home": context.settings.home,
        "sources": [asdict(source) for source in sources],
    }
    key = " -H 'Authorization: Bearer KEY'" if context.settings.read_key_required else ""
    hints = f"""
The API answers at {url}{", to whoever has a key: `kasparro keys create`" if key else ""}
  curl{key} '{url}/data?limit=10'
  curl '{url}/health'
  {url}/docs shows everything that it answers
{_folder(context)}Look at it with `kasparro status`, stop it with `make down` or `kasparro down`."""
    return Result(data, [*shown_sources(sources), hints, *loaded.told(ends=ends)], loaded.exit_code)


def _folder(context: Context) -> str:
    """A line on where the embedded server's data is; nothing where the database is somebody else's."""
    from kasparro.core import embedded

    if context.settings.database_url is not None:
        return ""
    return f"Its data is in {embedded.status(context.settings.home).folder}\n"
