"""From an answer to a page: its records, the greatest time in them, and the position behind it. Pure computing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from kasparro.core.errors import SourceError
from kasparro.ingestion.http.contract import Fetched
from kasparro.ingestion.source import SourceRecord
from kasparro.ingestion.sources.api.documents import Document, parse_document
from kasparro.ingestion.sources.api.options import (
    ApiOptions,
    CursorPagination,
    Incremental,
    LinkHeaderPagination,
    NextUrlPagination,
)
from kasparro.ingestion.sources.api.pagination import PageFacts, advance
from kasparro.ingestion.sources.api.position import Position, Validated, short_hash
from kasparro.ingestion.sources.api.records import find_records, raw_records
from kasparro.ingestion.sources.api.search import Search
from kasparro.ingestion.sources.api.stamps import Stamp, greatest_of, parse_stamp, seconds_of
from kasparro.ingestion.sources.api.urls import next_link, without_params

_NO_CONTENT: Final = 204
_COMPARED: Final = 20
"""So many records at each end tell one page from the next."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's records, and the position behind them."""

    records: list[SourceRecord]
    size_bytes: int
    position: Position


class PageParser:
    """Parses the pages of one source."""

    def __init__(self, options: ApiOptions) -> None:
        self._options = options
        self._records = Search(options.records) if options.records is not None else None
        pagination = options.pagination
        has_path = isinstance(pagination, CursorPagination | NextUrlPagination)
        self._next = Search(pagination.next) if has_path else None
        self._field = Search(options.incremental.field) if options.incremental else None

    def shown(self, url: str) -> str:
        """A URL for messages and locators."""
        return self._options.shown(url)

    def url_hash(self, url: str) -> str:
        """Tells whether validators belong to a URL."""
        return short_hash(without_params(url, self._options.secret_params()).encode())

    def parse(self, fetched: Fetched, url: str, position: Position, began: datetime) -> Page:
        """The page that `url` gave for `position` of a pass that began then.

        Raises SourceError for what is no page of records.
        """
        shown = self.shown(url)
        document = Document([]) if fetched.status == _NO_CONTENT else self._document(fetched, shown)
        items = [] if fetched.status == _NO_CONTENT else find_records(document, self._records, shown)
        digest = _digest(items, fetched.body) if items else None
        facts = PageFacts(shown, fetched.url, len(items), digest, self._following(document, fetched, shown))
        behind = advance(self._options, position, facts)
        behind = replace(behind, validated=self._validated(fetched, url))
        if self._options.incremental is not None and self._field is not None:
            greatest = greatest_stamp(self._options.incremental, self._field, items, began)
            behind = replace(_moved(behind, greatest, self._options.incremental), began=began.isoformat())
        prefix = shown + ("#" if self._options.pagination is None else f"#{behind.pages}.")
        return Page(raw_records(document, items, prefix), len(fetched.body), behind)

    def _document(self, fetched: Fetched, shown: str) -> Document:
        return parse_document(fetched.body, shown, fetched.headers.get("content-type", ""))

    def _following(self, document: Document, fetched: Fetched, shown: str) -> Any:
        """What names the next page, None where nothing does."""
        if isinstance(self._options.pagination, LinkHeaderPagination):
            return next_link(fetched.headers.get("link", ""))
        return None if self._next is None else self._next(document.value, shown)

    def _validated(self, fetched: Fetched, url: str) -> Validated | None:
        """Of a source with one page alone: an unchanged first page says nothing of the others."""
        given = fetched.validators
        if self._options.pagination is not None or not (given.etag or given.last_modified):
            return None
        return Validated(given.etag, given.last_modified, self.url_hash(url))


def _digest(items: list[Any], body: bytes) -> str:
    """A hash of the records alone, of their number and those at both ends: what stands around them may change from page
    to page.
    """
    ends = items if len(items) <= 2 * _COMPARED else [*items[:_COMPARED], *items[-_COMPARED:]]
    try:
        return short_hash(f"{len(items)} {ends!r}".encode("utf-8", "surrogatepass"))
    except RecursionError:
        return short_hash(body)


def greatest_stamp(incremental: Incremental, field: Search, items: Iterable[Any], began: datetime) -> Stamp | None:
    """The greatest time in the records. A record without one, or with nonsense, counts for nothing.

    Nor does a time after the pass began: a page that was read before may have changed by then, and a time that lies in
    the future would hide everything until it comes.
    """
    values: list[Any] = []
    for item in items:
        try:
            values.append(field(item, ""))
        except SourceError:  # an expression that fails on this record: it has no time
            continue
    return greatest_of(values, incremental.format, seconds_of(began))


def _moved(position: Position, greatest: Stamp | None, incremental: Incremental) -> Position:
    """The position with the greater of its candidate and the greatest time of a page."""
    if greatest is None:
        return position
    before = parse_stamp(position.candidate, incremental.format)
    candidate = position.candidate if before is not None and before.at >= greatest.at else greatest.text
    return replace(position, candidate=candidate, timed=True)
