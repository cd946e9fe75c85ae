"""`/stats`: what runs did, of each source and of all."""

from dataclasses import asdict
from typing import Any, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from kasparro.api.answers import around, problems
from kasparro.api.dependencies import ask_database, refuse_all
from kasparro.api.shown_anomalies import shown_anomaly, shown_overdue
from kasparro.core.masking import mask_text
from kasparro.schemas.pages.runs import RunState
from kasparro.schemas.pages.stats import StatsAnswer
from kasparro.services import stats

router = APIRouter(tags=["stats"], dependencies=[Depends(refuse_all)])
_OPEN_STATES = ("queued", "running")


@router.get("/stats", response_model=StatsAnswer, responses=problems(400, 401, 403, 429, 503))
async def read_stats(request: Request) -> Response:
    """Records by outcome, runs by state, how long they take, the last success, and the last failure with its reason."""
    found = await ask_database(request, stats.read_stats)
    sources = [_of_source(source) for source in found.sources]
    body = StatsAnswer.model_validate({"data": {"all": _shown(found.all), "sources": sources}, **around(request)})
    return JSONResponse(body.model_dump(mode="json"))


def _of_source(source: stats.SourceTotals) -> dict[str, Any]:
    return {
        "name": source.name,
        "type": source.type,
        "anomalies": [shown_anomaly(each) for each in source.anomalies],
        "overdue": None if source.overdue is None else shown_overdue(source.overdue),
        **_shown(source.totals),
    }


def _shown(totals: stats.Totals) -> dict[str, Any]:
    states = [state for state in get_args(RunState) if state not in _OPEN_STATES]
    failure = None if totals.last_failure is None else asdict(totals.last_failure)
    if failure is not None and failure["reason"] is not None:
        failure["reason"] = mask_text(failure["reason"])
    return {
        "runs": {
            "ended": sum(totals.runs.values()),
            **{state: totals.runs.get(state, 0) for state in states},
            "queued": totals.queued,
            "running": totals.running,
        },
        "records": {"processed": sum(totals.records.values()), **totals.records},
        "duration_seconds": asdict(totals.durations),
        "last_success": None if totals.last_success is None else asdict(totals.last_success),
        "last_failure": failure,
    }
