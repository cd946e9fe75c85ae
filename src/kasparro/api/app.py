"""The application: which routes there are, and what stands around them."""

import asyncio

from fastapi import Depends, FastAPI

from kasparro import __version__
from kasparro.api.access import require_read
from kasparro.api.authentication import KeyRing
from kasparro.api.errors import add_error_handlers
from kasparro.api.gate import Gate
from kasparro.api.middleware import RequestMiddleware
from kasparro.api.options import ApiOptions
from kasparro.api.routes import data, health
from kasparro.core.database import Pool


def create_app(pool: Pool, options: ApiOptions | None = None) -> FastAPI:
    """The API over a pool, which stays its maker's to close."""
    app = FastAPI(
        title="kasparro",
        version=__version__,
        summary="Records from APIs, CSV files and feeds, one table, exactly once.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.pool = pool
    app.state.options = options or ApiOptions()
    app.state.room = asyncio.Semaphore(max(1, pool.get_max_size() - 1))
    app.add_middleware(Gate, keys=KeyRing(pool))
    app.add_middleware(RequestMiddleware)
    add_error_handlers(app)
    app.include_router(data.router, dependencies=[Depends(require_read)])
    app.include_router(health.router)
    return app
