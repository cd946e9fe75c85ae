"""`/health`: can this instance serve what it promises? Answered within a bounded time, whatever happens."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from kasparro import __version__
from kasparro.api.access import SCHEME_NAME, may_read
from kasparro.api.answers import problems
from kasparro.api.asking import ANSWER_SECONDS, ask
from kasparro.api.dependencies import pool_of, refuse_all
from kasparro.api.errors import RETRY_AFTER_SECONDS
from kasparro.api.middleware import milliseconds_since
from kasparro.core.database import Connection, Pool
from kasparro.core.errors import DatabaseError
from kasparro.schemas.pages.health import (
    DatabaseHealth,
    HealthReport,
    HealthStatus,
    LastRun,
    Liveness,
    MigrationHealth,
    PoolHealth,
    Readiness,
    SourceHealth,
)
from kasparro.services.health import SchemaState, SourceStatus, read_schema_status, read_source_statuses

_STATUS: Final[Mapping[SchemaState, HealthStatus]] = {
    "current": "ok",
    "pending": "migrations_pending",
    "newer": "database_newer",
    "unknown": "database_unknown",
}

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_all)])


@router.get(
    "/health",
    response_model=HealthReport,
    responses={503: {"model": HealthReport}, **problems(400, 401, 429)},
    openapi_extra={"security": [{SCHEME_NAME: []}, {}]},
)
async def read_health(request: Request) -> JSONResponse:
    """200 when the database answers and its schema is current, else 503 with what is wrong.

    Whoever may not read is told neither the sources nor their runs.
    """
    pool, with_sources = pool_of(request), await may_read(request)
    base: dict[str, Any] = {"version": __version__, "request_id": request.state.request_id}
    try:
        found = await ask(
            pool, lambda connection: _look(connection, pool, with_sources), timeout_seconds=ANSWER_SECONDS
        )
    except DatabaseError as error:
        database = DatabaseHealth(reachable=False, error=error.code, pool=_pool(pool))
        base["sources"] = [] if with_sources else None
        return _answer(HealthReport(status="unavailable", database=database, migrations=None, **base))
    return _answer(HealthReport(**base, **found))


@router.get("/health/live", response_model=Liveness, responses=problems(400))
async def read_liveness(request: Request) -> JSONResponse:
    """200 as long as the process answers; the database is not asked. When this fails, restart it."""
    return _answer(Liveness(status="ok", version=__version__, request_id=request.state.request_id))


@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness}, **problems(400)})
async def read_readiness(request: Request) -> JSONResponse:
    """200 when requests can be sent here: the database answers and its schema is current; else 503."""
    try:
        schema = await ask(pool_of(request), read_schema_status, timeout_seconds=ANSWER_SECONDS)
    except DatabaseError:
        return _answer(Readiness(status="unavailable", request_id=request.state.request_id))
    return _answer(Readiness(status=_STATUS[schema.state], request_id=request.state.request_id))


def _answer(report: HealthReport | Liveness | Readiness) -> JSONResponse:
    if report.status == "ok":
        return JSONResponse(report.model_dump(mode="json"))
    return JSONResponse(report.model_dump(mode="json"), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _look(connection: Connection, pool: Pool, with_sources: bool) -> dict[str, Any]:  # noqa: FBT001
    started = time.perf_counter()
    schema = await read_schema_status(connection)
    latency_ms, current = milliseconds_since(started), schema.state == "current"
    sources = [_source(item) for item in await read_source_statuses(connection)] if current and with_sources else []
    return {
        "status": _STATUS[schema.state],
        "database": DatabaseHealth(reachable=True, latency_ms=latency_ms, pool=_pool(pool)),
        "migrations": MigrationHealth(current=schema.current, needed=schema.needed, up_to_date=current),
        "sources": sources if with_sources else None,
    }


def _pool(pool: Pool) -> PoolHealth:
    return PoolHealth(open=pool.get_size(), idle=pool.get_idle_size(), limit=pool.get_max_size())


def _source(status: SourceStatus) -> SourceHealth:
    run = status.last_run
    shown = None if run is None else LastRun(**{name: asdict(run)[name] for name in LastRun.model_fields})
    return SourceHealth(name=status.name, type=status.type, last_success_at=status.last_success_at, last_run=shown)
