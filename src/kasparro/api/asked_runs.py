"""Asking for runs: what routes that do so take, and how they answer."""

from typing import Annotated, Any, Final

from fastapi import Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kasparro.api.answers import around, problems
from kasparro.api.dependencies import Flag, Parameters, ask_database, whole_number
from kasparro.api.routes.waiting import wait_until_ended
from kasparro.api.shown_runs import shown_run
from kasparro.core import tracing
from kasparro.core.errors import RunFailedError
from kasparro.schemas.pages.runs import RequestedRuns, Run
from kasparro.services import run_pages
from kasparro.services.run_queue import Origin

_LONGEST_WAIT_SECONDS: Final = 3600
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Names this request: sent again, it is answered with the runs that it queued before.",
    ),
]
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": RequestedRuns, "description": "With `wait`: all have ended well."},
    202: {"description": "Queued, or with `wait` and the time over: the state they have reached."},
    **problems(400, 401, 403, 404, 409, 413, 415, 429, 502, 503),
}


class StartParameters(Parameters):
    """Of requests that ask for runs."""

    wait: Annotated[Flag, Field(description="Answer when the runs have ended.")] = False
    timeout: Annotated[
        int,
        whole_number(1, _LONGEST_WAIT_SECONDS),
        Field(
            ge=1,
            le=_LONGEST_WAIT_SECONDS,
            description="With `wait`: answer after so many seconds all the same. Without it nothing is waited for.",
        ),
    ] = 300


def origin_of(request: Request) -> Origin:
    """What the runs of this request say of it, in their logs and traces."""
    return Origin(request.state.request_id, tracing.traceparent())


async def answer_with_runs(request: Request, run_ids: list[int], query: StartParameters) -> Response:
    """The runs that were asked for; waits for their end where that is wished.

    Raises RunFailedError when the caller has waited for a run that did not end well.
    """
    if query.wait:
        await wait_until_ended(request, run_ids, timeout_seconds=query.timeout)
    rows = await ask_database(request, lambda connection: run_pages.some(connection, run_ids))
    return _started(request, [shown_run(row) for row in rows], waited=query.wait)


def _started(request: Request, shown: list[Run], *, waited: bool) -> Response:
    ended = (waited or not shown) and all(run.state not in {"queued", "running"} for run in shown)
    if ended and (bad := [run for run in shown if run.state not in {"succeeded", "partial"}]):
        raise RunFailedError("; ".join(map(_told, bad)))
    headers = {"Location": f"/runs/{shown[0].id}"} if len(shown) == 1 else None
    body = RequestedRuns(data=shown, **around(request))
    return JSONResponse(body.model_dump(mode="json"), 200 if ended else 202, headers)


def _told(run: Run) -> str:
    reason = f": {run.error.message}" if run.error is not None else ""
    return f"{run.source}: run {run.id} ended {run.state}{reason}"
