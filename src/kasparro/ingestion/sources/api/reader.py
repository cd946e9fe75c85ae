"""One pass over an API: pages are asked for one ahead, and gathered into batches that end where pages do."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

from kasparro.core.errors import PassExpiredError, RecordsMissingError, SourceError
from kasparro.core.logging import get_logger
from kasparro.ingestion.http.contract import Fetched, Fetcher
from kasparro.ingestion.source import Batch, BatchLimits, Coverage, FinalBatch, SourceRecord, Start
from kasparro.ingestion.sources.api.options import ApiOptions
from kasparro.ingestion.sources.api.parsing import Page, PageParser
from kasparro.ingestion.sources.api.position import Position, begin
from kasparro.ingestion.sources.api.requests import has_tokens, page_request
from kasparro.ingestion.sources.api.stamps import began_at

log = get_logger(__name__)
_EXPIRED: Final = frozenset((400, 404, 409, 410, 412, 422))
"""What a server may say to a token that it does not know any more."""
_AMBIGUOUS_END: Final = 400


@dataclass(frozen=True, slots=True)
class End:
    """There is no page at a position."""

    coverage: Coverage


@dataclass(slots=True)
class Gathered:
    """Whole pages that wait to become a batch."""

    limits: BatchLimits
    records: list[SourceRecord] = field(default_factory=list[SourceRecord])
    size_bytes: int = 0
    since: float | None = None

    def has_room_for(self, page: Page) -> bool:
        """Whether the batch keeps to its limits with this page; one page alone is a batch however large it is."""
        fits = len(self.records) + len(page.records) <= self.limits.records
        return not self.records or (fits and self.size_bytes + page.size_bytes <= self.limits.size_bytes)

    def add(self, page: Page) -> None:
        self.records.extend(page.records)
        self.size_bytes += page.size_bytes
        self.since = monotonic() if self.since is None else self.since

    def seconds_left(self) -> float | None:
        """How long the batch may wait for more; None while there is nothing in it."""
        return None if self.since is None else max(0.0, self.since + self.limits.seconds - monotonic())

    def is_full(self) -> bool:
        is_large = len(self.records) >= self.limits.records or self.size_bytes >= self.limits.size_bytes
        return is_large or self.seconds_left() == 0.0

    def batch(self, position: Position) -> Batch:
        """All that was gathered, with the position behind it; gathering begins anew."""
        batch = Batch(self.records, position.to_json(), self.size_bytes)
        self.records, self.size_bytes, self.since = [], 0, None
        return batch


class ApiReader:
    """Reads one pass, or the rest of one. `read` may be called once."""

    def __init__(
        self,
        options: ApiOptions,
        fetcher: Fetcher,
        start: Start,
        now: Callable[[], datetime],
        window: tuple[datetime, datetime] | None = None,
    ) -> None:
        self._options = options
        self._fetcher = fetcher
        self._parser = PageParser(options)
        self._now = now
        self._start = start
        self._gathered = Gathered(start.limits)
        self._window = window

    async def read(self) -> AsyncGenerator[Batch | FinalBatch]:
        """Batches, then the final one. What was read before an error is handed on before it is raised."""
        position = begin(self._options, self._start, self._now(), self._window)
        ahead = None if position.done else self._ask(position, resumed=self._start.cursor is not None)
        try:
            while ahead is not None:
                if not await self._arrives(ahead):
                    yield self._gathered.batch(position)
                    continue
                step = ahead.result() if ahead.exception() is None else None
                if not isinstance(step, Page):
                    break
                ahead = None if step.position.done else self._ask(step.position)
                if not self._gathered.has_room_for(step):
                    yield self._gathered.batch(position)
                self._gathered.add(step)
                position = step.position
                if self._gathered.is_full():
                    yield self._gathered.batch(position)
            if self._gathered.records or (ahead is not None and self._gathered.since is not None):
                yield self._gathered.batch(position)
            coverage = "full" if ahead is None else self._end(ahead).coverage
            self._warn(position)
            yield FinalBatch(position.settled_json(self._options), self._covered(position, coverage))
        finally:
            await _dismiss(ahead)

    def _warn(self, position: Position) -> None:
        """Of a pass that showed records, none of which can move the watermark: the next one reads them again."""
        incremental = self._options.incremental
        if incremental is None or self._window is not None or position.timed or position.last is None:
            return
        cost = "everything" if position.since is None else f"what changed since {position.since}"
        log.warning("api.no_watermark", source=self._options.name, field=incremental.field,
                    message=f"{incremental.found_nowhere()}: every run reads {cost} again")  # fmt: skip

    def _ask(self, position: Position, *, resumed: bool = False) -> "asyncio.Task[Page | End]":
        task = asyncio.create_task(self._page(position, resumed=resumed))
        task.add_done_callback(_retrieve)
        return task

    async def _arrives(self, ahead: "asyncio.Task[Page | End]") -> bool:
        """Wait for the next page, but not longer than the batch in hand may; False when that time is over."""
        done, _ = await asyncio.wait([ahead], timeout=self._gathered.seconds_left())
        return bool(done)

    @staticmethod
    def _end(ahead: "asyncio.Task[Page | End]") -> End:
        """Raises what kept the page from being read."""
        end = ahead.result()
        assert isinstance(end, End)
        return end

    def _covered(self, position: Position, coverage: Coverage) -> Coverage:
        """What the pass has seen, by the coverage that its end allows."""
        is_partial = self._options.incremental is not None or position.counted
        return "window" if coverage == "full" and is_partial else coverage

    async def _page(self, position: Position, *, resumed: bool) -> Page | End:
        request = page_request(self._options, position)
        validated = position.validated if position.pages == 0 else None
        is_same = validated is not None and validated.url_hash == self._parser.url_hash(request.url)
        asked = self._now()
        fetched = await self._fetcher.get(
            request.url,
            headers=request.headers,
            validators=validated.validators() if validated is not None and is_same else None,
            accept=self._accepted(position, resumed=resumed),
        )
        if fetched.not_modified:
            return End("none")
        if not 200 <= fetched.status < 300:
            return self._refused(fetched, request.url, resumed=resumed)
        began = (
            began_at(fetched.headers, asked, self._now())
            if position.began is None
            else datetime.fromisoformat(position.began)
        )
        try:
            return await asyncio.to_thread(self._parser.parse, fetched, request.url, position, began)
        except RecordsMissingError as error:
            if resumed and has_tokens(self._options):
                raise PassExpiredError(f"{error.message}; the page token may have expired") from error
            raise

    def _accepted(self, position: Position, *, resumed: bool) -> frozenset[int]:
        """Statuses that are no failure at a position: the end of pages, or a token that is forgotten."""
        if position.pages == 0:
            return frozenset()
        accepted = self._options.end_of_pages()
        return accepted | _EXPIRED if resumed and has_tokens(self._options) else accepted

    def _refused(self, fetched: Fetched, url: str, *, resumed: bool) -> End:
        """A 400 may also mean a limit that was hit: such an end proves nothing about what else there is."""
        if resumed and has_tokens(self._options) and fetched.status in _EXPIRED:
            shown = self._parser.shown(url)
            raise PassExpiredError(f"{shown}: {fetched.status} for the page where the pass was left: it has expired")
        if fetched.status not in self._options.end_of_pages():
            raise SourceError(f"{self._parser.shown(url)}: unexpected status {fetched.status}")
        return End("window" if fetched.status == _AMBIGUOUS_END else "full")


def _retrieve(task: "asyncio.Task[Page | End]") -> None:
    """Nobody may be left to ask: an error of a page that is not wanted any more is no news."""
    if not task.cancelled():
        task.exception()


async def _dismiss(task: "asyncio.Task[Page | End] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
