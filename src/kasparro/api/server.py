"""Serves the API in this process, over our own pool."""

from collections.abc import Callable
from typing import Final, cast

from kasparro.api.app import create_app
from kasparro.api.options import ApiOptions
from kasparro.core.address import require_free, require_loopback
from kasparro.core.database import Connection, ConnectionOptions, Pool, create_pool, house_errors
from kasparro.core.serving import serve_application
from kasparro.services import signing_keys

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
        served = ApiOptions(cursor_key=await _cursor_key(pool))
        await serve_application(create_app(pool, served), host=host, port=port, on_ready=on_ready)
    finally:
        await pool.close()


async def _cursor_key(pool: Pool) -> bytes:
    with house_errors():
        async with pool.acquire() as lent:
            return await signing_keys.ensure(cast("Connection", lent), signing_keys.CURSORS)
