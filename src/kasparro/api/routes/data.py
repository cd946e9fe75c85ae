"""`GET /data`: unified records, page by page."""

import difflib
import json
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from kasparro.api.asking import ask_long
from kasparro.api.dependencies import DataParameters, DataQuery, pool_of, refuse_repeated
from kasparro.api.errors import shortened
from kasparro.api.middleware import milliseconds_since
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.pages import DataPage, Page, Problem
from kasparro.services import data

SOURCE_TYPES: Final = ("api", "csv", "rss")
TIMEOUT_SECONDS: Final = 2.5
"""After which the database is asked whether it is there at all, for as long."""
LONGEST_SECONDS: Final = 40.0
"""More than the server's own limit for a statement, which ends it in order."""
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {status: {"model": Problem} for status in (400, 404, 503)}

router = APIRouter(tags=["data"], dependencies=[Depends(refuse_repeated)])


@router.get("/data", response_model=DataPage, responses=_PROBLEMS)
async def list_data(request: Request, query: DataQuery) -> Response:
    """Records in the order of their ids; `source` takes a source's name or a type."""
    found = await ask_long(
        pool_of(request),
        lambda connection: _find(connection, query),
        room=request.app.state.room,
        timeout_seconds=TIMEOUT_SECONDS,
        longest_seconds=LONGEST_SECONDS,
    )
    page = Page(limit=query.limit, next_cursor=None, has_more=found.has_more, total=None, total_kind="none")
    return Response(_body(request, found.records, page), media_type="application/json")


async def _find(connection: Connection, query: DataParameters) -> data.RecordPage:
    source_ids = None if query.source is None else await _source_ids(connection, query.source)
    return await data.read_page(connection, limit=query.limit, offset=query.offset, source_ids=source_ids)


def _body(request: Request, records: list[str], page: Page) -> str:
    """The body around records that are JSON already."""
    request_id = json.dumps(request.state.request_id)
    latency_ms = milliseconds_since(request.state.started)
    return (
        f'{{"data":[{",".join(records)}],"page":{page.model_dump_json()},'
        f'"request_id":{request_id},"api_latency_ms":{latency_ms}}}'
    )


async def _source_ids(connection: Connection, name_or_type: str) -> list[int]:
    """Raises NotFoundError for what is neither a known source's name nor a type."""
    ids = [] if "\x00" in name_or_type else await data.find_source_ids(connection, name_or_type)
    if ids or name_or_type in SOURCE_TYPES:
        return ids
    known = [*SOURCE_TYPES, *await data.source_names(connection)]
    near = difflib.get_close_matches(shortened(name_or_type), known, n=1)
    raise NotFoundError(
        f"source: {shortened(name_or_type)!r} is neither a source's name nor a type",
        hint=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}",
    )
