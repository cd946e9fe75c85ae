"""A source that stands in for another one: everything but reading is the other's."""

from collections.abc import AsyncIterator
from typing import Literal

from kasparro.ingestion.source import Batch, FinalBatch, Payload, Source, Start


class StandIn:
    """Base of sources that read on behalf of `source`; implements the contract `Source` once `read` says how."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def type(self) -> Literal["api", "csv", "rss"]:
        return self._source.type

    async def partitions(self) -> list[str]:
        return await self._source.partitions()

    def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        return self._source.read(partition, start)

    def normalize(self, payload: Payload) -> dict[str, object]:
        return self._source.normalize(payload)
