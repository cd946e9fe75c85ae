"""`/health`: can this instance serve what it promises? Answered within a bounded time, whatever happens."""

import asyncio
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
from kasparro.api.disk import DiskProbe
from kasparro.api.errors import RETRY_AFTER_SECONDS
from kasparro.api.health_warnings import warnings_of
from kasparro.api.middleware import milliseconds_since
from kasparro.core.database import Connection, Pool
from kasparro.core.errors import DatabaseError
from kasparro.schemas.pages.health import (
    DatabaseHealth,
    DiskHealth,
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

    What is wrong with sources or about to go wrong with the disk stands in `warnings` and changes no status: this
    instance serves all the same. Whoever may not read is told neither the sources and their runs nor the disk.
    """
    pool, may_see = pool_of(request), await may_read(request)
    probe: DiskProbe | None = request.app.state.disk if may_see else None
    asked = asyncio.create_task(_disk(probe))
    base: dict[str, Any] = {"version": __version__, "request_id": request.state.request_id}
    try:
        base |= await ask(pool, lambda connection: _look(connection, pool, may_see), timeout_seconds=ANSWER_SECONDS)
    except DatabaseError as error:
        database = DatabaseHealth(reachable=False, error=error.code, pool=_pool(pool))
        base |= {"status": "unavailable", "database": database, "migrations": None, "sources": [] if may_see else None}
    disk = await asked
    return _answer(HealthReport(**base, disk=disk, warnings=warnings_of(disk, base["sources"] or [])))


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


async def _disk(probe: DiskProbe | None) -> DiskHealth | None:
    if probe is None:
        return None
    space = await probe.ask(ANSWER_SECONDS)
    return DiskHealth(state="unknown" if space is None else space.state, free_bytes=space and space.free_bytes)


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
    own = ("name", "type", "last_success_at", "age_seconds", "stale_after_seconds", "freshness", "circuit_state")
    return SourceHealth(**{name: getattr(status, name) for name in own}, last_run=shown)
