"""Serves the API in this process, over our own pool."""

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from kasparro.api.app import create_app
from kasparro.api.options import options_from
from kasparro.core.address import require_free
from kasparro.core.database import Connection, ConnectionOptions, Pool, create_pool, house_errors
from kasparro.core.logging import get_logger
from kasparro.core.serving import serve_application
from kasparro.core.settings import Settings
from kasparro.services import signing_keys

APPLICATION_NAME: Final = "kasparro:api"
SERVER_SETTINGS: Final = {"statement_timeout": "30s", "plan_cache_mode": "force_custom_plan"}
"""Statements are planned for the values that they are asked with: a plan for any value is a bad one for rare values."""
_log = get_logger(__name__)


async def serve(
    options: ConnectionOptions,
    settings: Settings,
    *,
    host: str,
    port: int,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until cancelled; then requests in hand are answered and the pool is closed. `host` wins over the settings'.

    Raises ConfigurationError for an address that is taken, or that others reach before it was decided who may read;
    DatabaseError when there is no database.
    """
    served = options_from(settings, host)
    require_free(host, port)
    if not served.loopback and not served.read_key_required:
        _log.warning(
            "server.open", message=f"whoever reaches {host}:{port} may read: KASPARRO_READ_KEY_REQUIRED is false"
        )
    pool = await create_pool(
        options,
        application_name=APPLICATION_NAME,
        max_size=settings.api_connections,
        server_settings=SERVER_SETTINGS,
    )
    try:
        served = replace(served, cursor_key=await _cursor_key(pool))
        app = create_app(pool, served)
        gc.freeze()  # what stands by now stays: each look for garbage need not see it again
        await serve_application(app, host=host, port=port, on_ready=on_ready, on_stop=app.state.stopping.set)
    finally:
        await pool.close()


async def _cursor_key(pool: Pool) -> bytes:
    with house_errors():
        async with pool.acquire() as lent:
            return await signing_keys.ensure(cast("Connection", lent), signing_keys.CURSORS)
