"""`kasparro serve`: the API, in the foreground; with `--with-scheduler`, one container is all that is needed."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result

if TYPE_CHECKING:
    from kasparro.core.database import ConnectionOptions

HostOption = Annotated[str | None, typer.Option("--host", help="Address to bind (default: KASPARRO_HOST).")]
PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port (default: KASPARRO_PORT).")]
SchedulerOption = Annotated[
    bool, typer.Option("--with-scheduler", help="Run the sources at their schedules as well, in a process beside it.")
]


@command(example="kasparro serve --port 8001", service="serve")
async def serve(
    context: Context, host: HostOption = None, port: PortOption = None, with_scheduler: SchedulerOption = False
) -> Result | None:
    """Serve the API until stopped, one server a home. The schema must be current: see `kasparro migrate`."""
    from kasparro.cli.background import SERVER, held_by_service
    from kasparro.core.address import require_decided

    settings = context.settings
    address = require_decided(host or settings.host, read_key_required=settings.read_key_required)
    port = port or settings.port
    with held_by_service(settings, SERVER, context.note, address, port):
        options = await _current_database(context)
        if with_scheduler:
            code = await _serve_with_scheduler(context, options, address, port)
            return Result({"stopped": True}, [], code)
        await _serve_api(context, options, address, port)
        return None


async def _current_database(context: Context) -> "ConnectionOptions":
    """Raises MigrationsPendingError."""
    from kasparro.core.database import connect, resolve
    from kasparro.services.migrations import require_current

    options = await resolve(context.settings, report=context.note)
    connection = await connect(options, application_name="kasparro:serve")
    try:
        await require_current(connection)
    finally:
        await connection.close()
    return options


async def _serve_api(
    context: Context,
    options: "ConnectionOptions",
    address: str,
    port: int,
    *,
    on_ready: Callable[[], None] | None = None,
) -> None:
    from kasparro.api.server import serve as serve_api

    await serve_api(options, context.settings, host=address, port=port, on_ready=on_ready)


async def _serve_with_scheduler(context: Context, options: "ConnectionOptions", address: str, port: int) -> int:
    """Both until a signal, or until one of them cannot go on; then the other ends in order. The exit code.

    Raises what ended the API by itself. A second signal ends both at once.
    """
    from kasparro.cli.companion import keep_scheduler
    from kasparro.cli.stopping import stop_on_signals

    with stop_on_signals(context.settings.stop_grace_seconds, gently=False) as stop:
        answers = asyncio.Event()
        serving = asyncio.ensure_future(_serve_api(context, options, address, port, on_ready=answers.set))
        scheduling = asyncio.ensure_future(keep_scheduler(context, answers, stop.event))
        asked = asyncio.ensure_future(stop.event.wait())
        try:
            await asyncio.wait({serving, scheduling, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.event.set()
            serving.cancel()
            ended, code = await asyncio.gather(serving, scheduling, return_exceptions=True)
    for failure in (ended, code):
        if isinstance(failure, Exception):
            raise failure
    return stop.exit_code or (code if isinstance(code, int) else 0)
