"""`/runs/compare`: two runs side by side, down to the record, and why they differ."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from kasparro.api.access import require_read
from kasparro.api.answers import next_link, problems
from kasparro.api.conditional import tagged
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.data_pages import tail
from kasparro.api.dependencies import MAX_ID, Parameters, ask_database, refuse_repeated, whole_number
from kasparro.core.exact_json import write
from kasparro.ingestion.operations.compared_kinds import DIFFERENCES
from kasparro.ingestion.operations.comparing import Compared, Listing, compare
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from kasparro.schemas.pages.comparison import ComparisonAnswer, RecordChoice, RecordKind

router = APIRouter(tags=["runs"])
RunNumber = Annotated[Annotated[int, whole_number(0, MAX_ID)], Field(ge=0, le=MAX_ID, description="A run's number.")]
_READING: Final[dict[str, Any]] = {
    "response_model": ComparisonAnswer,
    "responses": {
        **problems(400, 401, 403, 404, 410, 422, 429, 503),
        304: {"description": "Nothing has changed since the answer whose ETag `If-None-Match` names."},
    },
    "dependencies": [Depends(require_read), Depends(refuse_repeated)],
}


class _Chosen(Parameters):
    """What both paths take."""

    records: Annotated[
        RecordChoice,
        Field(description="Which records to list; `differing`: all kinds but `unchanged`, one after another."),
    ] = "differing"
    limit: Annotated[
        int, whole_number(1, MAX_LIMIT), Field(ge=1, le=MAX_LIMIT, description="How many records at most.")
    ] = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None

    @property
    def kinds(self) -> tuple[RecordKind, ...]:
        """The kinds to list."""
        return DIFFERENCES if self.records == "differing" else (self.records,)


class ComparisonParameters(_Chosen):
    """`GET /runs/compare`."""

    base: RunNumber
    target: RunNumber


class TwoRunsParameters(_Chosen):
    """`GET /compare-runs`."""

    run1_id: RunNumber
    run2_id: RunNumber


@router.get("/runs/compare", **_READING)
async def compare_runs(request: Request, query: Annotated[ComparisonParameters, Query()]) -> Response:
    """Two runs of one source side by side: counters and durations with their differences; whether source, mapping,
    configuration or code changed; and which records are new, changed (where, before and after), deleted or gone.

    The one that ended earlier is the base, whichever was named so.
    """
    return await _answer(request, query, query.base, query.target)


@router.get("/compare-runs", **_READING)
async def compare_two_runs(request: Request, query: Annotated[TwoRunsParameters, Query()]) -> Response:
    """The same as `/runs/compare`, under other names."""
    return await _answer(request, query, query.run1_id, query.run2_id)


async def _answer(request: Request, query: _Chosen, base: int, target: int) -> Response:
    key: bytes = request.app.state.options.cursor_key
    bound = f"comparison {base} {target} {query.records}"
    after = None
    if query.cursor is not None:
        place, number = open_cursor(key, query.cursor, query=bound)
        after = (int(place), int(number))
    listing = Listing(query.kinds, after, query.limit)
    found = await ask_database(request, lambda connection: compare(connection, base, target, listing))
    cursor = None if found.next_after is None else sign(key, list(found.next_after), query=bound)
    text = await asyncio.to_thread(_text, found, _page(query.limit, found.total, cursor))
    headers = {"Link": next_link(request, cursor)} if cursor else None
    return tagged(request, text, tail(request), media_type="application/json", headers=headers)


def _page(limit: int, total: int | None, cursor: str | None) -> Page:
    kind = "none" if total is None else "exact"
    return Page(limit=limit, next_cursor=cursor, has_more=cursor is not None, total=total, total_kind=kind)


def _text(found: Compared, page: Page) -> str:
    """The body without its end."""
    return f'{{"data":{write(found.comparison.model_dump())},"page":{page.model_dump_json()}'
