"""`/drift`: how payloads differ from the shape that was accepted, and what was decided of it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kasparro.api.access import require_read
from kasparro.api.answers import around, next_link, problems
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.dependencies import Parameters, RecordId, ask_database, refuse_all, refuse_repeated, whole_number
from kasparro.api.shown_drift import shown_drift
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from kasparro.schemas.pages.drift import DriftAnswer, DriftKind, DriftPage
from kasparro.schemas.pages.rejects import StorableText
from kasparro.services import drift, sources
from kasparro.services.drift import DriftEvent

router = APIRouter(tags=["drift"])


class DriftParameters(Parameters):
    """`GET /drift`."""

    limit: Annotated[int, whole_number(1, MAX_LIMIT), Field(ge=1, le=MAX_LIMIT, description="How many at most.")] = (
        DEFAULT_LIMIT
    )
    source: Annotated[StorableText | None, Field(description="Only findings of the source of this name.")] = None
    state: Annotated[
        Literal["open", "accepted", "rejected", "gone", "all"], Field(description="Only those in this state.")
    ] = "open"
    kind: Annotated[DriftKind | None, Field(description="Only those of this kind.")] = None
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None


@router.get(
    "/drift",
    response_model=DriftPage,
    responses=problems(400, 401, 403, 404, 410, 429, 503),
    dependencies=[Depends(require_read), Depends(refuse_repeated)],
)
async def list_drift(request: Request, query: Annotated[DriftParameters, Query()]) -> Response:
    """How payloads differ from what was accepted, newest first; the open findings unless another state is asked for."""
    key: bytes = request.app.state.options.cursor_key
    state = None if query.state == "all" else query.state
    bound = f"drift {query.source!r} {query.kind!r} {state!r}"
    before = None if query.cursor is None else int(open_cursor(key, query.cursor, query=bound))

    async def look(connection: Any) -> list[DriftEvent]:
        if query.source is not None:
            await sources.get(connection, query.source)
        chosen = {"source": query.source, "kind": query.kind, "state": state}
        return await drift.page(connection, **chosen, before=before, limit=query.limit + 1)

    found = await ask_database(request, look)
    shown, more = found[: query.limit], len(found) > query.limit
    cursor = sign(key, shown[-1].id, query=bound) if more else None
    page = Page(limit=query.limit, next_cursor=cursor, has_more=more, total=None, total_kind="none")
    body = DriftPage(data=list(map(shown_drift, shown)), page=page, **around(request))
    return JSONResponse(body.model_dump(mode="json"), headers={"Link": next_link(request, cursor)} if cursor else None)


@router.get(
    "/drift/{id}",
    response_model=DriftAnswer,
    responses=problems(400, 401, 403, 404, 429, 503),
    dependencies=[Depends(require_read), Depends(refuse_all)],
)
async def read_drift(request: Request, drift_id: RecordId) -> Response:
    """One finding: what was expected, what was seen, how sure that is, examples, and what was decided."""
    found = await ask_database(request, lambda connection: drift.find(connection, drift_id))
    body = DriftAnswer(data=shown_drift(found), **around(request))
    return JSONResponse(body.model_dump(mode="json"))
