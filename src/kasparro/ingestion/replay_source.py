"""A source whose records are those that stand already: of each, the payload that made it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from kasparro.core.database import ConnectionOptions
from kasparro.ingestion.connections import LANE_SETTINGS, LiveConnection
from kasparro.ingestion.source import Batch, FinalBatch, Source, SourceRecord, Start
from kasparro.ingestion.standing_in import StandIn
from kasparro.services.stored_pages import StoredPage, Wanted, read_pages

PARTITION: Final = "stored"
_SETTINGS: Final = {name: value for name, value in LANE_SETTINGS.items() if not name.startswith("idle_")}
"""It may wait for lanes as long as they take: it holds no lock and no transaction."""


class ReplaySource(StandIn):
    """Implements the contract `Source` over a connection of its own; name and normalizing are those of `source`."""

    def __init__(self, source: Source, options: ConnectionOptions, wanted: Wanted) -> None:
        super().__init__(source)
        self._options = options
        self._wanted = wanted

    async def partitions(self) -> list[str]:
        return [PARTITION]

    async def read(self, partition: str, start: Start) -> AsyncGenerator[Batch | FinalBatch]:
        """See the contract; `partition` is the only one. Raises what a lost connection raises."""
        del partition
        after = int(start.cursor["after"]) if start.cursor else 0
        limits = start.limits
        live = await LiveConnection.open(self._options, application_name="kasparro:replay", settings=_SETTINGS)
        try:
            async with live.use() as connection:
                pages = read_pages(
                    connection, self._wanted, after=after, records=limits.records, size_bytes=limits.size_bytes
                )
                async with aclosing(pages) as items:
                    async for page in items:
                        records = await asyncio.to_thread(records_of, page, self.type)
                        yield Batch(records, {"after": page.after}, page.size_bytes, standing=page.records)
        finally:
            await live.close()
        yield FinalBatch({}, "none")


def records_of(page: StoredPage, source_type: str) -> Sequence[SourceRecord]:
    """The records of a page. Pure computing, for a thread."""
    from kasparro.ingestion.columns.stored import stored_records

    return stored_records(page.payloads, page.locators, text_only=source_type == "csv")
