"""`kasparro serve`: the API, in the foreground."""

from typing import Annotated

import typer

from kasparro.cli.frame import Context, command

HostOption = Annotated[str | None, typer.Option("--host", help="Address to bind (default: KASPARRO_HOST).")]
PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port (default: KASPARRO_PORT).")]


@command(example="kasparro serve --port 8001", service="serve")
async def serve(context: Context, host: HostOption = None, port: PortOption = None) -> None:
    """Serve the API until stopped, one server a home. The schema must be current: see `kasparro migrate`."""
    from kasparro.api.server import serve as serve_api
    from kasparro.cli.background import SERVER, held_by_service
    from kasparro.core.address import require_decided
    from kasparro.core.database import connect, resolve
    from kasparro.services.migrations import require_current

    settings = context.settings
    address = require_decided(host or settings.host, read_key_required=settings.read_key_required)
    port = port or settings.port
    with held_by_service(settings, SERVER, context.note, address, port):
        options = await resolve(settings, report=context.note)
        connection = await connect(options, application_name="kasparro:serve")
        try:
            await require_current(connection)
        finally:
            await connection.close()
        await serve_api(options, settings, host=address, port=port)
