"""A source, a transformer and a store with the interfaces of those that they wrap, which fail where a plan says so."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from kasparro.ingestion.connections import LiveConnection
from kasparro.ingestion.faults.plans import Faults
from kasparro.ingestion.faults.strikes import carry_out, fail_as_bug, fail_as_database, fail_as_upstream
from kasparro.ingestion.job import SourceJob, Transforms
from kasparro.ingestion.source import Batch, FinalBatch, ReadsDocuments, Source, SourceRecord, Start
from kasparro.ingestion.standing_in import StandIn
from kasparro.ingestion.store import LaneStore, Written
from kasparro.ingestion.transform import TransformedBatch
from kasparro.schemas.batches import LaneBatch, LaneState


def faulty_job(job: SourceJob, faults: Faults) -> SourceJob:
    """The job with faults in its reading and transforming; itself where there are none."""
    if not faults:
        return job
    source = job.source
    faulty = FaultyDocuments(source, faults) if isinstance(source, ReadsDocuments) else FaultySource(source, faults)
    return replace(job, source=faulty, transformer=FaultyTransformer(job.transformer, faults))


def faulty_store(store: LaneStore, live: LiveConnection, faults: Faults) -> LaneStore:
    """The store with faults in its writing; itself where there are none."""
    return FaultyStore(store, faults, live.sever) if faults else store


class FaultySource(StandIn):
    """A source that fails before it reads the batch of a plan."""

    def __init__(self, source: Source, faults: Faults) -> None:
        super().__init__(source)
        self._faults = faults

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        reader = cast("AsyncGenerator[Batch | FinalBatch]", self._source.read(partition, start))
        async with aclosing(reader) as items:
            self._at_fetch(partition)
            async for item in items:
                yield item
                if not isinstance(item, FinalBatch):
                    self._at_fetch(partition)

    def _at_fetch(self, partition: str) -> None:
        self._faults.reach("fetch")
        if plan := self._faults.due("fetch"):
            fail = partial(fail_as_upstream, source_type=self.type, partition=partition)
            carry_out(plan, self._faults.sever_coordinator, fail)


class FaultyDocuments(FaultySource):
    """The same for a source whose partitions are documents."""

    def reading_ahead(self, starts: Mapping[str, Start]) -> AbstractAsyncContextManager[None]:
        return cast("ReadsDocuments", self._source).reading_ahead(starts)


class FaultyTransformer:
    """A transformer that fails before it transforms the batch of a plan; made where the run is, used in threads."""

    def __init__(self, transformer: Transforms, faults: Faults) -> None:
        self._transformer = transformer
        self._faults = faults
        self._loop = asyncio.get_running_loop()

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        self._faults.reach("transform")
        if plan := self._faults.due("transform"):
            carry_out(plan, self._sever_from_thread, fail_as_bug)
        return self._transformer.transform(records, first_ordinal)

    def _sever_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._faults.sever_coordinator)


class FaultyStore:
    """A lane's store that fails at the points and the batch of a plan; `sever` ends its connection."""

    def __init__(self, store: LaneStore, faults: Faults, sever: Callable[[], None]) -> None:
        self._store = store
        self._faults = faults
        self._sever = sever

    @property
    def state(self) -> LaneState:
        return self._store.state

    def begin(self, partition: str, state: LaneState) -> None:
        self._store.begin(partition, state)

    async def write_data(self, batch: LaneBatch) -> Written:
        self._faults.reach_load(self.state.lane, (batch.partition, batch.ordinal))
        self._at("load")
        return await self._store.write_data(batch)

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:
        self._at("checkpoint")
        await self._store.write_checkpoint(batch, written)

    async def commit(self) -> None:
        self._at("commit")
        await self._store.commit()
        self._at("committed")

    async def rollback(self) -> None:
        await self._store.rollback()

    def _at(self, point: str) -> None:
        if plan := self._faults.due(point, self.state.lane):
            carry_out(plan, self._sever, fail_as_database)
