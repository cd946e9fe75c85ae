"""`/runs`: what ran, what became of it, and a way to ask for more."""

from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kasparro.api.access import require_operate, require_read
from kasparro.api.answers import around, next_link, problems
from kasparro.api.asked_runs import RESPONSES, IdempotencyKey, StartParameters, answer_with_runs, origin_of
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.dependencies import (
    Parameters,
    RecordId,
    ask_database,
    refuse_all,
    refuse_repeated,
    whole_number,
)
from kasparro.api.errors import shortened
from kasparro.api.shown_runs import shown_run, shown_run_detail
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.ingestion.operations.queueing import queue_runs
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from kasparro.schemas.pages.runs import RequestedRuns, RunAnswer, RunPage, RunRequest, RunState, SourceType
from kasparro.services import run_details, run_pages, sources
from kasparro.services.run_pages import RunFilter

SOURCE_TYPES: Final = get_args(SourceType)
router = APIRouter(tags=["runs"])


class RunsParameters(Parameters):
    """`GET /runs`."""

    limit: Annotated[
        int, whole_number(1, MAX_LIMIT), Field(ge=1, le=MAX_LIMIT, description="How many runs at most.")
    ] = DEFAULT_LIMIT
    source: Annotated[
        str | None, Field(min_length=1, description="Only runs of the source of this name, or of sources of this type.")
    ] = None
    status: Annotated[RunState | None, Field(description="Only runs in this state.")] = None
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None


@router.get(
    "/runs",
    response_model=RunPage,
    responses=problems(400, 401, 403, 404, 410, 429, 503),
    dependencies=[Depends(require_read), Depends(refuse_repeated)],
)
async def list_runs(request: Request, query: Annotated[RunsParameters, Query()]) -> Response:
    """The newest runs first, those that are queued or at work included."""
    key: bytes = request.app.state.options.cursor_key
    bound = f"runs {query.source!r} {query.status!r}"
    before = None if query.cursor is None else int(open_cursor(key, query.cursor, query=bound))
    rows = await ask_database(request, lambda connection: _page(connection, query, before))
    shown, more = rows[: query.limit], len(rows) > query.limit
    cursor = sign(key, shown[-1]["id"], query=bound) if more else None
    page = Page(limit=query.limit, next_cursor=cursor, has_more=more, total=None, total_kind="none")
    body = RunPage(data=[shown_run(row) for row in shown], page=page, **around(request))
    return JSONResponse(body.model_dump(mode="json"), headers={"Link": next_link(request, cursor)} if cursor else None)


@router.get(
    "/runs/{id}",
    response_model=RunAnswer,
    responses=problems(400, 401, 403, 404, 429, 503),
    dependencies=[Depends(require_read), Depends(refuse_all)],
)
async def read_run(request: Request, run_id: RecordId) -> Response:
    """One run: its batches summed up to now, the seconds in each stage, where reading stood before and after; what it
    rejected, and what was found about the shape and quality of its records and about the run itself.
    """
    row, found = await ask_database(request, lambda connection: run_details.of_run(connection, run_id))
    body = RunAnswer(data=shown_run_detail(row, found), **around(request))
    return JSONResponse(body.model_dump(mode="json"))


@router.post(
    "/runs",
    status_code=202,
    response_model=RequestedRuns,
    responses=RESPONSES,
    dependencies=[Depends(require_operate), Depends(refuse_repeated)],
)
async def start_runs(
    request: Request,
    query: Annotated[StartParameters, Query()],
    asked: Annotated[RunRequest | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queue a run of one source, or of every source; a scheduler claims it at once.

    A source whose run is queued or at work is a 409; where every source is asked for, it is answered with that run, as
    long as there is another one to queue.
    """
    source = None if asked is None else asked.source
    if source is not None:
        _require_storable(source)
    origin = origin_of(request)
    run_ids = await ask_database(
        request, lambda connection: queue_runs(connection, source=source, key=idempotency_key, origin=origin)
    )
    return await answer_with_runs(request, run_ids, query)


async def _page(connection: Connection, query: RunsParameters, before: int | None) -> list[dict[str, Any]]:
    """One more row than asked for tells whether there are more. Raises NotFoundError for an unknown source."""
    chosen = await _chosen(connection, query)
    return await run_pages.page(connection, chosen, before=before, limit=query.limit + 1)


async def _chosen(connection: Connection, query: RunsParameters) -> RunFilter:
    if query.source is None:
        return RunFilter(state=query.status)
    _require_storable(query.source)
    if query.source in SOURCE_TYPES and await sources.find(connection, query.source) is None:
        return RunFilter(source_type=query.source, state=query.status)
    return RunFilter(source_id=(await sources.get(connection, query.source)).id, state=query.status)


def _require_storable(name: str) -> None:
    """No source has a name that the database cannot hold. Raises NotFoundError."""
    if not name.isprintable():
        raise NotFoundError(f"source {shortened(name)!r}: the database knows none of this name")
