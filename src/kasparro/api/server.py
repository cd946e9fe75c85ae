"""Serves the API in this process: Granian on our own event loop, over our own pool."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from kasparro.api.app import create_app
from kasparro.core.database import ConnectionOptions, create_pool
from kasparro.core.errors import ConfigurationError
from kasparro.core.logging import get_logger

APPLICATION_NAME: Final = "kasparro:api"
POOL_SIZE: Final = 10
STATEMENT_TIMEOUT: Final = "30s"
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
        _log.info("server.started", message=f"serving http://{host}:{port}")
        if on_ready is not None:
            on_ready()
        await asyncio.shield(serving)
    finally:
        server.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        _log.info("server.stopped", message="no longer serving")


def require_loopback(host: str) -> None:
    """Until there are keys to guard it, the API stays on this machine. Raises ConfigurationError."""
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigurationError(f"KASPARRO_HOST: {host!r} is not an IP address") from None
    if not loopback:
        raise ConfigurationError(
            f"KASPARRO_HOST: {host} is reachable from elsewhere, and this version has no keys to guard the API",
            hint="use 127.0.0.1, and a proxy with authentication in front where others must reach it",
        )


def require_free(host: str, port: int) -> None:
    """Raise ConfigurationError when something listens there: Granian would share the port without a word."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {host} is taken: {error.strerror}", hint="set KASPARRO_PORT to another one"
            ) from error
