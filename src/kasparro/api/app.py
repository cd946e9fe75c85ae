"""The application: which routes there are, and what stands around them."""

import asyncio

from fastapi import Depends, FastAPI

from kasparro.api.access import require_read
from kasparro.api.authentication import KeyRing
from kasparro.api.cors import allow_origins
from kasparro.api.direct import DirectRoute
from kasparro.api.disk import DiskProbe
from kasparro.api.errors import add_error_handlers
from kasparro.api.gate import Gate
from kasparro.api.metrics import RequestMetrics
from kasparro.api.middleware import RequestMiddleware
from kasparro.api.openapi import operation_id
from kasparro.api.options import ApiOptions
from kasparro.api.routes import (
    comparisons,
    data,
    docs,
    drift,
    health,
    lineage,
    metrics,
    raw,
    rejects,
    runs,
    sources,
    stats,
)
from kasparro.core.database import Pool


def create_app(pool: Pool, options: ApiOptions | None = None) -> FastAPI:
    """The API over a pool, which stays its maker's to close."""
    app = create_routes(options or ApiOptions())
    app.state.pool = pool
    app.state.metrics = RequestMetrics()
    app.state.stopping = asyncio.Event()
    folder = app.state.options.data_folder
    app.state.disk = None if folder is None else DiskProbe(folder)
    app.state.room = asyncio.Semaphore(max(1, pool.get_max_size() - 1))
    app.add_middleware(Gate, options=app.state.options, keys=KeyRing(pool))
    if app.state.options.cors_origins:
        allow_origins(app, app.state.options.cors_origins)
    app.add_middleware(RequestMiddleware)
    add_error_handlers(app)
    return app


def create_routes(options: ApiOptions) -> FastAPI:
    """What can be asked, without anything to answer it: enough to describe the API."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `/metrics` and the log tell it all
        generate_unique_id_function=operation_id,
    )
    app.state.options = options
    app.router.routes.append(DirectRoute("/data", require_read, data.list_data))
    app.include_router(data.router, dependencies=[Depends(require_read)])
    app.include_router(lineage.router, dependencies=[Depends(require_read)])
    app.include_router(raw.router, dependencies=[Depends(require_read)])
    for reading in (sources, stats, metrics):
        app.include_router(reading.router, dependencies=[Depends(require_read)])
    app.include_router(comparisons.router)
    app.include_router(runs.router)
    app.include_router(rejects.router)
    app.include_router(drift.router)
    app.include_router(health.router)
    app.include_router(docs.router)
    return app
