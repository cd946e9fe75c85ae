"""Serves the API in this process, over our own pool."""

from collections.abc import Callable
from typing import Final

from kasparro.api.app import create_app
from kasparro.core.address import require_free, require_loopback
from kasparro.core.database import ConnectionOptions, create_pool
from kasparro.core.serving import serve_application

APPLICATION_NAME: Final = "kasparro:api"
POOL_SIZE: Final = 10
STATEMENT_TIMEOUT: Final = "30s"


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
        await serve_application(create_app(pool), host=host, port=port, on_ready=on_ready)
    finally:
        await pool.close()
