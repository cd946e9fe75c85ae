"""`GET /data/{id}/lineage`: where a record comes from, back to its first payload."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from kasparro.api.answers import next_link
from kasparro.api.conditional import tagged
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.data_pages import tail
from kasparro.api.dependencies import Parameters, RecordId, ask_database, refuse_repeated, whole_number
from kasparro.api.shown_lineage import Trace, lineage_text
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.pages import Page, Problem
from kasparro.schemas.pages.lineage import LineageAnswer
from kasparro.services import lineage, run_pages

MOST_PAYLOADS: Final = 100
_MOST_REJECTS: Final = 100
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    **{status: {"model": Problem} for status in (400, 404, 410, 422, 503)},
    304: {"description": "Nothing has changed since the answer whose ETag `If-None-Match` names."},
}
router = APIRouter(tags=["data"], dependencies=[Depends(refuse_repeated)])


class LineageParameters(Parameters):
    """`GET /data/{id}/lineage`."""

    limit: Annotated[
        int, whole_number(1, MOST_PAYLOADS), Field(ge=1, le=MOST_PAYLOADS, description="How many payloads at most.")
    ] = 20
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None


@router.get("/data/{id}/lineage", response_model=LineageAnswer, responses=_PROBLEMS)
async def show_lineage(request: Request, record_id: RecordId, query: Annotated[LineageParameters, Query()]) -> Response:
    """Where a record comes from, also when it is deleted: the mapping that made it; its payloads, newest first, each
    with its place, run and batch, and what changed in it; and rejects of its key.
    """
    key: bytes = request.app.state.options.cursor_key
    bound = f"lineage {record_id}"
    raw_id = None if query.cursor is None else int(open_cursor(key, query.cursor, query=bound))
    trace = await ask_database(request, lambda connection: _trace(connection, record_id, raw_id, query.limit))
    if trace is None:
        raise NotFoundError(f"there is no record {record_id}")
    cursor = None if trace.next_raw_id is None else sign(key, trace.next_raw_id, query=bound)
    page = Page(limit=query.limit, next_cursor=cursor, has_more=cursor is not None, total=None, total_kind="none")
    text = await asyncio.to_thread(lineage_text, trace, page.model_dump_json())
    headers = {"Link": next_link(request, cursor)} if cursor else None
    return tagged(request, text, tail(request), media_type="application/json", headers=headers)


async def _trace(connection: Connection, record_id: int, raw_id: int | None, limit: int) -> Trace | None:
    """One payload more than asked for: the last one shown is compared with it."""
    record = await lineage.find_record(connection, record_id)
    if record is None:
        return None
    start = record.raw_id if raw_id is None else raw_id
    links = await lineage.chain(connection, record.source_type, start, limit=limit + 1)
    rows = await run_pages.some(connection, [record.run_id, *(link.run_id for link in links)])
    return Trace(
        record,
        links,
        limit,
        {row["id"]: row for row in rows},
        await lineage.batches(connection, record, links[:limit]),
        await lineage.rejects(connection, record, limit=_MOST_REJECTS),
    )
