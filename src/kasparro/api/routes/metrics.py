"""`/metrics`, for Prometheus: always answered, and within a bounded time, also while the database is away."""

from fastapi import APIRouter, Depends, Request, Response

from kasparro.api.answers import problems
from kasparro.api.asking import ANSWER_SECONDS, ask
from kasparro.api.dependencies import pool_of, refuse_all
from kasparro.api.metrics import CONTENT_TYPE, RequestMetrics, metrics_text
from kasparro.core.database import Connection
from kasparro.core.errors import DatabaseError
from kasparro.services.health import read_schema_status
from kasparro.services.metrics import RunFacts, read_facts

router = APIRouter(tags=["metrics"], dependencies=[Depends(refuse_all)])
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics as text."}


@router.get("/metrics", response_class=Response, responses={200: _TEXT, **problems(400, 401, 403, 429, 503)})
async def read_metrics(request: Request) -> Response:
    """Counters of runs come from the database, whichever process ran them; durations of requests from this process."""
    requests: RequestMetrics = request.app.state.metrics
    try:
        facts = await ask(pool_of(request), _read, timeout_seconds=ANSWER_SECONDS)
    except DatabaseError:
        facts = None
    return Response(metrics_text(requests, facts), headers={"Content-Type": CONTENT_TYPE})


async def _read(connection: Connection) -> RunFacts | None:
    """None where the tables are not those that this version knows."""
    return await read_facts(connection) if (await read_schema_status(connection)).state == "current" else None
