"""One partition from its reader to its lanes: stages that overlap through bounded queues.

Memory is bounded by the queues, never by the input. A stage that fails closes the flow behind it, so that batches
already handed on are committed; a lane that fails ends everything at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import cast

from kasparro.core.errors import KasparroError
from kasparro.ingestion.connections import LiveConnection
from kasparro.ingestion.encoding import encode_share, with_origin, with_standing
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.passes import PartitionPlan
from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, Start
from kasparro.ingestion.store import LaneStore, write
from kasparro.ingestion.systemic import systemic_error
from kasparro.schemas.batches import LaneBatch, LaneState
from kasparro.schemas.counters import Counters

_QUEUE_BATCHES = 1
STOP_GRACE_SECONDS = 2.5
"""How long a source may take for the batch in hand once a run is asked to stop: a batch is open for 2 s."""
Committed = Callable[[Counters], None]


@dataclass(frozen=True, slots=True)
class Lane:
    """A writer and the connection it writes over."""

    live: LiveConnection
    store: LaneStore


@dataclass(frozen=True, slots=True)
class _Read:
    """A reader batch on its way to transform."""

    batch: Batch
    seconds: float
    at: datetime


async def _first(items: AsyncGenerator[Batch | FinalBatch]) -> Batch | FinalBatch:
    return await anext(items)


class Pipeline:
    """One pass, or the rest of one, over one partition. `run` may be called once."""

    def __init__(
        self,
        job: SourceJob,
        plan: PartitionPlan,
        lanes: Sequence[Lane],
        *,
        stop: asyncio.Event,
        limits: BatchLimits,
        committed: Committed,
    ) -> None:
        self._job = job
        self._plan = plan
        self._lanes = lanes
        self._stop = stop
        self._limits = limits
        self._committed = committed
        self._failure: KasparroError | None = None
        self._final: FinalBatch | None = None
        self._read: asyncio.Queue[_Read | None] = asyncio.Queue(_QUEUE_BATCHES)
        self._to_lanes: list[asyncio.Queue[LaneBatch | None]] = [asyncio.Queue(_QUEUE_BATCHES) for _ in lanes]

    async def run(self) -> FinalBatch | None:
        """The final batch once every lane has committed its last one; None when stopped before the end.

        Raises SourceError, PassExpiredError, SystemicError, FencedError, ConservationError, ConnectionLostError.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reader())
            tasks.create_task(self._transformer())
            for lane, queue in zip(self._lanes, self._to_lanes, strict=True):
                tasks.create_task(self._writer(lane, queue))
        if self._failure is not None:
            raise self._failure
        return self._final

    def lane_states(self) -> list[LaneState]:
        """Where each lane stands."""
        return [lane.store.state for lane in self._lanes]

    async def _reader(self) -> None:
        plan = self._plan
        reader = self._job.source.read(plan.name, Start(plan.settled, plan.cursor, self._limits))
        # A reader may be ahead of its batches: when nobody wants more, it stops now, and not when it is collected.
        async with self._closing(self._read), aclosing(cast("AsyncGenerator[Batch | FinalBatch]", reader)) as items:
            started = perf_counter()
            while (item := await self._next(items)) is not None:
                if isinstance(item, FinalBatch):
                    self._final = item
                    return
                await self._read.put(_Read(item, perf_counter() - started, datetime.now(UTC)))
                if self._stop.is_set() or self._failure is not None:
                    return
                started = perf_counter()

    async def _next(self, items: AsyncGenerator[Batch | FinalBatch]) -> Batch | FinalBatch | None:
        """The next item; None when the run is asked to stop and the source, which may wait for a server, takes long."""
        reading = asyncio.create_task(_first(items))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reading}, timeout=STOP_GRACE_SECONDS)
            return await reading if reading.done() else None
        finally:
            stopping.cancel()
            reading.cancel()
            await asyncio.wait({reading})

    async def _transformer(self) -> None:
        behind = [state.ordinal for state in self._plan.lanes]
        before = self._plan.ordinal
        refused = False
        async with self._closing(*self._to_lanes):
            while (read := await self._read.get()) is not None:
                batches = None if refused else await self._encode(read, before, behind)
                refused = batches is None
                for batch in batches or ():
                    await self._to_lanes[batch.lane].put(batch)
                before += len(read.batch.records)

    async def _encode(self, read: _Read, before: int, behind: list[int]) -> list[LaneBatch] | None:
        """The batch's shares, made in a thread; None when neither it nor what follows may be written."""
        try:
            return await asyncio.to_thread(self._transform, read, before, behind)
        except KasparroError as error:
            self._failure = self._failure or error
            return None

    def _transform(self, read: _Read, before: int, behind: list[int]) -> list[LaneBatch]:
        started = perf_counter()
        job, batch = self._job, read.batch
        transformed = job.transformer.transform(batch.records, before + 1)
        error = systemic_error(job.source.name, transformed, job.reject_limit, exempt=("drift",))
        if error is not None:
            raise error
        reader_batch = ReaderBatch(before, len(batch.records), batch.cursor, batch.size_bytes)
        shares = split(reader_batch, transformed, behind)
        encoded = [encode_share(share, self._plan.name, read.at) for share in shares]
        if batch.raw_ids is not None:
            raw_ids = batch.raw_ids
            encoded = [with_origin(one, share, raw_ids, before) for one, share in zip(encoded, shares, strict=True)]
        if batch.standing is not None:
            standing = batch.standing
            encoded = [with_standing(one, share, standing, before) for one, share in zip(encoded, shares, strict=True)]
        seconds = {"read": read.seconds, "transform": perf_counter() - started}
        # once, by the share that has most to commit: sums over the lanes are those of the stages
        most = max(encoded, key=lambda share: share.fetched, default=None)
        return [replace(share, stage_seconds=seconds) if share is most else share for share in encoded]

    async def _writer(self, lane: Lane, queue: asyncio.Queue[LaneBatch | None]) -> None:
        """Commit batch after batch; a share without records waits for the lane's next commit, or for the end."""
        position: LaneBatch | None = None
        while (batch := await queue.get()) is not None:
            position = None if batch.fetched or batch.rows.num_rows else batch
            if position is None:
                await self._commit(lane, batch)
        if position is not None:
            await self._commit(lane, position)

    async def _commit(self, lane: Lane, batch: LaneBatch) -> None:
        async with lane.live.use():
            written = await write(lane.store, batch)
        self._committed(written.counters)

    @asynccontextmanager
    async def _closing(
        self, *queues: "asyncio.Queue[_Read | None] | asyncio.Queue[LaneBatch | None]"
    ) -> AsyncGenerator[None]:
        """Tell the next stage when this one ends; a house error is kept for the end, anything else ends everything."""
        try:
            yield
        except KasparroError as error:
            self._failure = self._failure or error
        for queue in queues:
            await queue.put(None)
