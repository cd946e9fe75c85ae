"""`GET /data`: unified records, page by page; `GET /data/{id}`: one of them."""

import difflib
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from kasparro.api.conditional import tagged
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.data_pages import FoundPage, answer, tail
from kasparro.api.dependencies import RecordId, ask_database, refuse_all
from kasparro.api.errors import shortened
from kasparro.api.formats import Format, accepted_format
from kasparro.api.query_language import DATA_PARAMETERS, SOURCE_TYPES, Asked, Count, parse, preferred_count
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.pages import DEFAULT_LIMIT, DataItem, DataPage, Problem
from kasparro.services import data

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem} for status in (400, 404, 406, 410, 422, 503)
}
_ITEM_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {status: {"model": Problem} for status in (400, 404, 422, 503)}
_TEXT: Final = {"schema": {"type": "string"}}
_FORMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The page; as NDJSON or CSV its records alone, and the next page in `Link`.",
        "content": {"application/x-ndjson": _TEXT, "text/csv": _TEXT},
    },
    304: {"description": "Nothing has changed since the answer whose ETag `If-None-Match` names."},
}

router = APIRouter(tags=["data"])


@router.get(
    "/data",
    response_model=DataPage,
    responses={**_PROBLEMS, **_FORMS},
    openapi_extra={"parameters": DATA_PARAMETERS},
)
async def list_data(request: Request) -> Response:
    """Records by filters, in any order, page by page.

    Every column is a filter, and so is every value inside `attributes` by its path, as in `attributes.origin=JFK`:
    those parameters are not listed here, because nobody knows their names beforehand. A filter may be given twice,
    as in `occurred_at=gte.2013-01-01&occurred_at=lt.2013-02-01`; all of them must hold.
    """
    asked = parse(request.scope["query_string"])
    format_: Format = asked.get("format") or accepted_format(request.headers.get("Accept"))
    preferred = None if asked.get("count") else preferred_count(request.headers.getlist("Prefer"))
    key: bytes = request.app.state.options.cursor_key
    query = _query(asked, format_, key)
    count: Count = asked.get("count") or preferred or "none"
    page, total = await ask_database(request, lambda connection: _find(connection, query, count))
    cursor = sign(key, page.position, query=asked.identity) if page.position else None
    applied = f"count={preferred}" if preferred else None
    return answer(request, query, FoundPage(page, cursor, total), format_, applied)


@router.get(
    "/data/{id}",
    response_model=DataItem,
    responses={**_ITEM_PROBLEMS, 304: _FORMS[304]},
    dependencies=[Depends(refuse_all)],
)
async def show_record(request: Request, record_id: RecordId) -> Response:
    """One record, by the id that lists show."""
    record = await ask_database(request, lambda connection: data.read_record(connection, record_id))
    if record is None:
        raise NotFoundError(f"there is no record {record_id}")
    return tagged(request, f'{{"data":{record}', tail(request), media_type="application/json")


def _query(asked: Asked, format_: Format, key: bytes) -> data.DataQuery:
    cursor = asked.get("cursor")
    return data.DataQuery(
        filters=asked.filters,
        search=asked.get("q"),
        sort=asked.get("sort", ()),
        fields=asked.get("fields"),
        limit=asked.get("limit", DEFAULT_LIMIT),
        offset=asked.get("offset", 0),
        position=None if cursor is None else tuple(open_cursor(key, cursor, query=asked.identity)),
        cells=format_ == "csv",
    )


async def _find(
    connection: Connection, query: data.DataQuery, count: Count
) -> tuple[data.RecordPage, data.Total | None]:
    source_ids = await data.find_source_ids(connection, query.filters)
    if not _all_known(query.filters, source_ids):
        await _require_known(connection, query.filters)
    page = await data.read_page(connection, query, source_ids)
    if count == "none":
        return page, None
    if query.offset == 0 and query.position is None and not page.has_more:
        return page, data.Total(len(page.records), "exact")
    return page, await data.count_records(connection, query, source_ids, count)


def _all_known(filters: tuple[data.Filter, ...], source_ids: list[int] | None) -> bool:
    """Whether what was found proves that every source exists that is named: the usual case costs no question."""
    named = [item for item in filters if item.field.name == "source"]
    return not named or (bool(source_ids) and all(item.operator == "eq" and not item.negated for item in named))


async def _require_known(connection: Connection, filters: tuple[data.Filter, ...]) -> None:
    """Raises NotFoundError for what is neither a known source's name nor a type."""
    names = [name for item in filters if item.field.name == "source" for name in _named(item)]
    if set(names) <= set(SOURCE_TYPES):
        return
    known = [*SOURCE_TYPES, *await data.source_names(connection)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(shortened(name), known, n=1)
            raise NotFoundError(
                f"source: {shortened(name)!r} is neither a source's name nor a type",
                hint=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}",
            )


def _named(item: data.Filter) -> list[str]:
    if item.operator in {"eq", "neq"}:
        return [item.operand]
    return item.operand if item.operator == "in" else []
