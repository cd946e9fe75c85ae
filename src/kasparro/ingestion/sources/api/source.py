"""The `api` source: one resource is one partition, read page by page."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Literal

from kasparro.ingestion.http.contract import Fetcher
from kasparro.ingestion.source import Batch, FinalBatch, Payload, Start
from kasparro.ingestion.sources.api.options import ApiOptions
from kasparro.ingestion.sources.api.reader import ApiReader


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class ApiSource:
    """Implements the contract `Source` for JSON over HTTP; docs/decisions/0009-api-reading.md has its rules."""

    def __init__(
        self,
        options: ApiOptions,
        fetcher: Fetcher,
        normalizer: Callable[[Payload], dict[str, object]],
        *,
        now: Callable[[], datetime] = utc_now,
        window: tuple[datetime, datetime] | None = None,
    ) -> None:
        self._options = options
        self._fetcher = fetcher
        self._normalizer = normalizer
        self._now = now
        self._window = window

    @property
    def name(self) -> str:
        return self._options.name

    @property
    def type(self) -> Literal["api"]:
        return "api"

    async def partitions(self) -> list[str]:
        """One: the URL, without credentials and parameters."""
        return [self._options.partition()]

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:  # noqa: ARG002
        """See the contract. A single page that is as `start.settled` left it costs one conditional request."""
        async with aclosing(ApiReader(self._options, self._fetcher, start, self._now, self._window).read()) as items:
            async for item in items:
                yield item

    def within(self, since: datetime, until: datetime) -> "ApiSource":
        """The same source, asked for what changed in a window, whatever the watermark is; it needs `incremental`."""
        return ApiSource(self._options, self._fetcher, self._normalizer, now=self._now, window=(since, until))

    def normalize(self, payload: Payload) -> dict[str, object]:
        return self._normalizer(payload)
