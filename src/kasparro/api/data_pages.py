"""From a page of records to an answer: its body in each format, and the headers that go with it."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import Request, Response

from kasparro.api.answers import next_link
from kasparro.api.conditional import tagged
from kasparro.api.formats import MEDIA_TYPES, Format, csv_text
from kasparro.api.middleware import milliseconds_since
from kasparro.schemas.pages import Page
from kasparro.services.data import DataQuery, RecordPage, Total

VARY: Final = "Accept, Prefer"


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page, the cursor of the next, and how many records there are in all if that was asked."""

    records: RecordPage
    next_cursor: str | None
    total: Total | None


def answer(request: Request, query: DataQuery, found: FoundPage, format_: Format, applied: str | None) -> Response:
    """The page in its format; `applied` is the preference that was followed, if one was."""
    headers = {"Vary": VARY}
    if applied:
        headers["Preference-Applied"] = applied
    if found.next_cursor:
        headers["Link"] = next_link(request, found.next_cursor)
    if format_ != "json" and found.total:
        headers["X-Total-Count"] = str(found.total.number)
    if format_ == "csv":
        headers["Content-Disposition"] = 'attachment; filename="data.csv"'
    media_type = MEDIA_TYPES[format_]
    if format_ == "json":
        return tagged(request, _head(query, found), tail(request), media_type=media_type, headers=headers)
    return tagged(request, _lines(query, found, format_), media_type=media_type, headers=headers)


def tail(request: Request) -> str:
    """What ends every body of JSON: members that are this request's own."""
    latency_ms = milliseconds_since(request.state.started)
    return f',"request_id":{json.dumps(request.state.request_id)},"api_latency_ms":{latency_ms}}}'


def _head(query: DataQuery, found: FoundPage) -> str:
    total = found.total
    page = Page(
        limit=query.limit,
        next_cursor=found.next_cursor,
        has_more=found.records.has_more,
        total=total.number if total else None,
        total_kind=total.kind if total else "none",
    )
    return f'{{"data":[{",".join(found.records.records)}],"page":{page.model_dump_json()}'


def _lines(query: DataQuery, found: FoundPage, format_: Literal["ndjson", "csv"]) -> str:
    records: list[Any] = found.records.records
    return csv_text(query.fields, records) if format_ == "csv" else "".join(f"{record}\n" for record in records)
