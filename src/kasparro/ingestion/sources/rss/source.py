"""The `rss` source: each feed is a partition, fetched whole, parsed in a process of its own, read entry by entry."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from kasparro.core.errors import PassExpiredError, SourceError
from kasparro.core.logging import get_logger
from kasparro.ingestion.http.contract import Fetched, Fetcher, Validators
from kasparro.ingestion.source import Batch, BatchLimits, Defect, FinalBatch, Payload, SourceRecord, Start
from kasparro.ingestion.sources.rss.ahead import ReadAhead
from kasparro.ingestion.sources.rss.document import Request
from kasparro.ingestion.sources.rss.entry import KEY_FIELD
from kasparro.ingestion.sources.rss.options import RssOptions
from kasparro.ingestion.sources.rss.process import Parsed, ParserProcess
from kasparro.ingestion.sources.rss.progress import Cursor, Known, Settled, document_hash, reading

ACCEPT: Final = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, "
    "application/json;q=0.9, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.5"
)
NO_KEY: Final = Defect("key_missing", "the entry has no guid, link, title, content or enclosure", "record_key")
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    """A document that is new: its entries from `position` on are to be loaded; `cursor` is where they begin."""

    parsed: Parsed
    position: int
    cursor: Cursor
    validators: Validators


class RssSource:
    """Implements the contract `Source` for feeds; docs/decisions/0008-feeds.md has its rules."""

    def __init__(
        self, options: RssOptions, fetcher: Fetcher, normalizer: Callable[[Payload], dict[str, object]]
    ) -> None:
        self._options = options
        self._fetcher = fetcher
        self._normalizer = normalizer
        self._urls = options.partitions()
        self._reading = reading(options.identity)
        self._shared: tuple[ReadAhead[_Read | FinalBatch], ParserProcess] | None = None

    @property
    def name(self) -> str:
        return self._options.name

    @property
    def type(self) -> Literal["rss"]:
        return "rss"

    async def partitions(self) -> list[str]:
        """The feeds' URLs without credentials, in the order of the configuration. Raises SourceError for none."""
        if not self._urls:
            raise SourceError(f"source {self.name}: no feed is configured")
        return list(self._urls)

    @asynccontextmanager
    async def reading_ahead(self, starts: Mapping[str, Start]) -> AsyncGenerator[None]:
        """While this is open, reading one of these partitions fetches and parses the next ones, in one process."""
        ahead = ReadAhead(self._read, starts, self._options.ahead)
        async with ParserProcess(self._options.parse_seconds) as parser:
            self._shared = ahead, parser
            try:
                yield
            finally:
                self._shared = None
                await ahead.close()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        """See the contract. A feed that is as `start.settled` left it costs one conditional request."""
        read = await (self._shared[0].take if self._shared else self._read)(partition, start)
        if isinstance(read, FinalBatch):
            yield read
            return
        parsed, position, here = read.parsed, read.position, read.cursor
        self._warn(partition, parsed)
        for count, batch in _batches(partition, parsed.lines[position:], position, start.limits):
            yield Batch(
                batch,
                replace(here, entries=count).to_json(),
                sum(map(len, parsed.lines[count - len(batch) : count])),
            )
        known = Known(here.known.identity, parsed.repeated)
        validators = Validators() if parsed.cut else read.validators  # a 304 would say that there is nothing more
        state = Settled(here.document, validators, known, self._reading, parsed.ttl_minutes)
        yield FinalBatch(state.to_json(), "window")

    def normalize(self, payload: Payload) -> dict[str, object]:
        return self._normalizer(payload)

    async def _read(self, partition: str, start: Start) -> "_Read | FinalBatch":
        """The document, fetched and parsed; the end of the pass where nothing is new."""
        fetched = await self._fetch(partition, start)
        settled = Settled.from_json(start.settled)
        if fetched.not_modified and start.settled is not None:
            return FinalBatch(start.settled, "none")
        body = fetched.body
        document = document_hash(body)
        cursor = self._checked(partition, start, document)
        settled = settled if settled and settled.reading == self._reading else None
        if cursor is None and settled and settled.document == document:
            kept = fetched.validators if settled.validators != Validators() else settled.validators  # as of one cut off
            state = Settled(document, kept, settled.known, self._reading, settled.ttl_minutes)
            return FinalBatch(state.to_json(), "none")
        known = cursor.known if cursor else settled.known if settled else Known(self._options.identity)
        request = Request(partition, fetched.headers.get("content-type"), known.identity, known.repeated)
        parsed = await self._parse(body, request)
        position = cursor.entries if cursor else 0
        return _Read(parsed, position, Cursor(document, position, known, self._reading), fetched.validators)

    async def _fetch(self, partition: str, start: Start) -> Fetched:
        """The document; an open pass needs it whole, so only a new pass asks whether anything changed."""
        settled = Settled.from_json(start.settled)
        unchanged = settled.validators if settled and settled.reading == self._reading else None
        validators = unchanged if start.cursor is None else None
        return await self._fetcher.get(self._urls[partition], headers={"accept": ACCEPT}, validators=validators)

    def _checked(self, partition: str, start: Start, document: str) -> Cursor | None:
        """The cursor of an open pass. Raises PassExpiredError when it does not fit this document."""
        if start.cursor is None:
            return None
        cursor = Cursor.from_json(start.cursor)
        if cursor is None or (cursor.document, cursor.reading) != (document, self._reading):
            raise PassExpiredError(f"{partition}: the feed has changed since the pass was begun; it is read anew")
        return cursor

    async def _parse(self, body: bytes, request: Request) -> Parsed:
        limit = self._options.max_document_bytes
        if len(body) > limit:
            raise SourceError(f"{request.feed}: the document has {len(body):,} bytes; {limit:,} are allowed")
        if self._shared:
            return await self._shared[1].parse(body, request)
        async with ParserProcess(self._options.parse_seconds) as parser:
            return await parser.parse(body, request)

    def _warn(self, partition: str, parsed: Parsed) -> None:
        bound = log.bind(source=self.name, partition=partition)
        if parsed.malformed:
            left_out = "; the entry in which it breaks off is left out" if parsed.cut else ""
            bound.warning("feed.malformed", message=f"{partition}: not well-formed, read as far as possible{left_out}",
                          reason=parsed.malformed, records_fetched=len(parsed.lines))  # fmt: skip
        if parsed.found:
            first, second = (f"{partition}#{number}" for number in (parsed.found.first, parsed.found.second))
            bound.warning("feed.guid_repeated",
                          message=f"{first} and {second} share a guid: the link counts as well where a guid repeats",
                          guid=parsed.found.guid[:200])  # fmt: skip


def _batches(
    partition: str, lines: Sequence[bytes], position: int, limits: BatchLimits
) -> Iterator[tuple[int, list[SourceRecord]]]:
    """Records cut by count and size, each batch with the number of entries up to its end."""
    records: list[SourceRecord] = []
    size = 0
    for number, line in enumerate(lines, position + 1):
        records.append(_record(line, f"{partition}#{number}"))
        size += len(line)
        if len(records) >= limits.records or size >= limits.size_bytes:
            yield number, records
            records, size = [], 0
    if records:
        yield position + len(lines), records


def _record(line: bytes, locator: str) -> SourceRecord:
    payload: Payload = json.loads(line)
    return SourceRecord(payload, locator, () if payload[KEY_FIELD] else (NO_KEY,))
