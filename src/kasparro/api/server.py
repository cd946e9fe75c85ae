"""Serves the API in this process: Granian on our own event loop, over our own pool."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from kasparro.api.app import create_app
from kasparro.core.address import require_free, require_loopback
from kasparro.core.database import ConnectionOptions, create_pool
from kasparro.core.logging import get_logger

APPLICATION_NAME: Final = "kasparro:api"
POOL_SIZE: Final = 10
STATEMENT_TIMEOUT: Final = "30s"
LISTEN_POLL_SECONDS: Final = 0.02
_OWN_LOGGING: Final[dict[str, Any]] = {"incremental": True, "handlers": {}, "loggers": {}}
"""Granian's messages take the way of all others, from warnings up."""
_log = get_logger(__name__)


async def serve(
    options: ConnectionOptions, *, host: str, port: int, on_ready: Callable[[], None] | None = None
) -> None:
    """Serve until cancelled; then requests in hand are answered and the pool is closed.

    Raises ConfigurationError for an address that is not loopback or is taken, DatabaseError when there is no database.
    """
    require_loopback(host)
    require_free(host, port)
    settings = {"statement_timeout": STATEMENT_TIMEOUT}
    pool = await create_pool(options, application_name=APPLICATION_NAME, max_size=POOL_SIZE, server_settings=settings)
    try:
        server = Server(
            create_app(pool),
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_level=LogLevels.error,
            log_dictconfig=_OWN_LOGGING,
        )
        await _serve_until_cancelled(server, host, port, on_ready)
    finally:
        await pool.close()


async def _serve_until_cancelled(server: Server, host: str, port: int, on_ready: Callable[[], None] | None) -> None:
    serving = asyncio.ensure_future(server.serve())
    try:
        await _wait_until_listening(serving, host, port)
        _log.info("server.started", message=f"serving http://{host}:{port}")
        if on_ready is not None:
            on_ready()
        await asyncio.shield(serving)
    finally:
        server.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        _log.info("server.stopped", message="no longer serving")


async def _wait_until_listening(serving: "asyncio.Future[None]", host: str, port: int) -> None:
    """Granian says that it starts, not that it listens: return once it takes connections, or has failed."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(LISTEN_POLL_SECONDS)
        else:
            writer.close()
            await writer.wait_closed()
            return
