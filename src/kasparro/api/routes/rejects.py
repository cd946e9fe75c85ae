"""`/rejects`: records that did not pass, one by one or by what is wrong, and a way to give them another try."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kasparro.api.access import require_operate, require_read
from kasparro.api.answers import around, next_link, problems
from kasparro.api.asked_runs import RESPONSES, IdempotencyKey, StartParameters, answer_with_runs, origin_of
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.dependencies import MAX_ID, Parameters, ask_database, refuse_repeated, whole_number
from kasparro.core.masking import mask_text
from kasparro.ingestion.operations.queueing import queue_requeue
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from kasparro.schemas.pages.rejects import (
    Reject,
    RejectExample,
    RejectGroup,
    RejectGroupPage,
    RejectPage,
    RequeueRequest,
    StorableText,
)
from kasparro.schemas.pages.runs import RequestedRuns
from kasparro.services import reject_lists, sources
from kasparro.services.reject_lists import RejectFilter

router = APIRouter(tags=["rejects"])


class RejectsParameters(Parameters):
    """`GET /rejects` and `GET /rejects/groups`."""

    limit: Annotated[int, whole_number(1, MAX_LIMIT), Field(ge=1, le=MAX_LIMIT, description="How many at most.")] = (
        DEFAULT_LIMIT
    )
    source: Annotated[StorableText | None, Field(description="Only rejects of the source of this name.")] = None
    state: Annotated[
        Literal["open", "requeued", "resolved", "dropped", "all"], Field(description="Only those in this state.")
    ] = "open"
    code: Annotated[StorableText | None, Field(description="Only those with this code.")] = None
    field: Annotated[StorableText | None, Field(description="Only those of this field.")] = None
    run: Annotated[
        Annotated[int, whole_number(0, MAX_ID)] | None,
        Field(ge=0, le=MAX_ID, description="Only those that this run saw last, or judged again since."),
    ] = None
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None

    @property
    def chosen(self) -> RejectFilter:
        """What the parameters ask for."""
        state = None if self.state == "all" else self.state
        return RejectFilter(self.source, self.code, self.field, self.run, state)


_READING: dict[str, Any] = {
    "responses": problems(400, 401, 403, 404, 410, 429, 503),
    "dependencies": [Depends(require_read), Depends(refuse_repeated)],
}


@router.get("/rejects", response_model=RejectPage, **_READING)
async def list_rejects(request: Request, query: Annotated[RejectsParameters, Query()]) -> Response:
    """Rejected records, one for each reason, the newest first; the open ones unless another state is asked for."""
    key: bytes = request.app.state.options.cursor_key
    chosen, limit = query.chosen, query.limit
    bound = f"rejects {chosen!r}"
    before = None if query.cursor is None else int(open_cursor(key, query.cursor, query=bound))

    async def look(connection: Any) -> list[dict[str, Any]]:
        await _require_source(connection, chosen)
        return await reject_lists.page(connection, chosen, before=before, limit=limit + 1)

    rows = await ask_database(request, look)
    cursor = sign(key, rows[limit - 1]["id"], query=bound) if len(rows) > limit else None
    body = RejectPage(data=[_shown(row) for row in rows[:limit]], page=_page(limit, cursor), **around(request))
    return JSONResponse(body.model_dump(mode="json"), headers=_headers(request, cursor))


@router.get("/rejects/groups", response_model=RejectGroupPage, **_READING)
async def list_reject_groups(request: Request, query: Annotated[RejectsParameters, Query()]) -> Response:
    """The same in groups that fail for the same reason, those with the most payloads first."""
    key: bytes = request.app.state.options.cursor_key
    chosen, limit = query.chosen, query.limit
    bound = f"reject groups {chosen!r}"
    after = None if query.cursor is None else tuple(open_cursor(key, query.cursor, query=bound))

    async def look(connection: Any) -> list[reject_lists.RejectGroup]:
        await _require_source(connection, chosen)
        return await reject_lists.groups(connection, chosen, after=after, limit=limit + 1)

    groups = await ask_database(request, look)
    last = groups[limit - 1] if len(groups) > limit else None
    cursor = None if last is None else sign(key, [last.payloads, last.fingerprint], query=bound)
    data = [_shown_group(group) for group in groups[:limit]]
    body = RejectGroupPage(data=data, page=_page(limit, cursor), **around(request))
    return JSONResponse(body.model_dump(mode="json"), headers=_headers(request, cursor))


@router.post(
    "/rejects/requeue",
    status_code=202,
    response_model=RequestedRuns,
    responses={
        **RESPONSES,
        200: {"model": RequestedRuns, "description": "No open reject is chosen; or with `wait`: all have ended well."},
    },
    dependencies=[Depends(require_operate), Depends(refuse_repeated)],
)
async def requeue_rejects(
    request: Request,
    query: Annotated[StartParameters, Query()],
    asked: Annotated[RequeueRequest | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queue a run for each source with open rejects that are chosen: it puts their payloads through today's mapping.

    What passes lands, what a newer record has overtaken is resolved, what does not pass stays open. A source whose
    rejects are being requeued is a 409, unless there are others; then it is answered with that run.
    """
    wanted = asked or RequeueRequest()
    ids, groups = tuple(wanted.ids or ()), tuple(wanted.groups or ())
    chosen = RejectFilter(wanted.source, wanted.code, wanted.field, ids=ids, groups=groups)
    origin = origin_of(request)
    run_ids = await ask_database(
        request, lambda connection: queue_requeue(connection, chosen=chosen, key=idempotency_key, origin=origin)
    )
    return await answer_with_runs(request, run_ids, query)


async def _require_source(connection: Any, chosen: RejectFilter) -> None:
    """Raises NotFoundError for a source that nobody knows."""
    if chosen.source is not None:
        await sources.get(connection, chosen.source)


def _page(limit: int, cursor: str | None) -> Page:
    return Page(limit=limit, next_cursor=cursor, has_more=cursor is not None, total=None, total_kind="none")


def _headers(request: Request, cursor: str | None) -> dict[str, str] | None:
    return None if cursor is None else {"Link": next_link(request, cursor)}


def _shown(row: dict[str, Any]) -> Reject:
    fields = {name: row["fingerprint" if name == "group" else name] for name in Reject.model_fields}
    return Reject.model_validate({**fields, **_masked(row["locator"], row["message"])})


def _shown_group(group: reject_lists.RejectGroup) -> RejectGroup:
    examples = [
        RejectExample(id=each.id, record_key=each.record_key, raw_id=each.raw_id, **_masked(each.locator, each.message))
        for each in group.examples
    ]
    names = ("source", "code", "field", "payloads", "times", "first_seen_at", "last_seen_at")
    fields = {name: getattr(group, name) for name in names}
    return RejectGroup(group=group.fingerprint, message=mask_text(group.says), examples=examples, **fields)


def _masked(locator: str, message: str) -> dict[str, str]:
    return {"locator": mask_text(locator), "message": mask_text(message)}
