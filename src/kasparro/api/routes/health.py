"""`GET /health`: can this instance serve what it promises? Answered within a bounded time, whatever happens."""

import time
from dataclasses import asdict
from typing import Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from kasparro import __version__
from kasparro.api.asking import ask
from kasparro.api.dependencies import pool_of, refuse_all
from kasparro.api.middleware import milliseconds_since
from kasparro.core.database import Connection
from kasparro.core.errors import DatabaseError
from kasparro.schemas.pages import DatabaseHealth, HealthReport, LastRun, MigrationHealth, SourceHealth
from kasparro.services.health import SchemaState, SourceStatus, read_schema_status, read_source_statuses

TIMEOUT_SECONDS: Final = 3.0
_STATUS: Final = {
    "current": "ok",
    "pending": "migrations_pending",
    "newer": "database_newer",
    "unknown": "database_unknown",
}

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_all)])


@router.get("/health", response_model=HealthReport, responses={503: {"model": HealthReport}})
async def read_health(request: Request) -> JSONResponse:
    """200 when the database answers and its schema is current, else 503 with what is wrong."""
    request_id: str = request.state.request_id
    started = time.perf_counter()
    try:
        report = await ask(
            pool_of(request), lambda connection: _look(connection, request_id, started), timeout_seconds=TIMEOUT_SECONDS
        )
    except DatabaseError as error:
        report = _report("unavailable", DatabaseHealth(reachable=False, error=error.code), request_id)
    return JSONResponse(report.model_dump(mode="json"), 200 if report.status == "ok" else 503)


async def _look(connection: Connection, request_id: str, started: float) -> HealthReport:
    schema = await read_schema_status(connection)
    database = DatabaseHealth(reachable=True, latency_ms=milliseconds_since(started))
    current = schema.state == "current"
    sources = [_source(item) for item in await read_source_statuses(connection)] if current else []
    migrations = MigrationHealth(current=schema.current, needed=schema.needed, up_to_date=current)
    return _report(schema.state, database, request_id, migrations=migrations, sources=sources)


def _report(
    state: SchemaState | str,
    database: DatabaseHealth,
    request_id: str,
    *,
    migrations: MigrationHealth | None = None,
    sources: list[SourceHealth] | None = None,
) -> HealthReport:
    return HealthReport.model_validate(
        {
            "status": _STATUS.get(state, state),
            "version": __version__,
            "database": database,
            "migrations": migrations,
            "sources": sources or [],
            "request_id": request_id,
        }
    )


def _source(status: SourceStatus) -> SourceHealth:
    run = status.last_run
    shown = None if run is None else LastRun(**{name: asdict(run)[name] for name in LastRun.model_fields})
    return SourceHealth(name=status.name, type=status.type, last_success_at=status.last_success_at, last_run=shown)
