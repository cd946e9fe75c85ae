"""One lane's writer: everything of a lane batch in one transaction, and no other place advances a checkpoint.

The store is a small protocol so that faults can wrap it (`faults.py`).
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

import asyncpg
from pyroaring import BitMap64

from kasparro.core.database import Connection, house_errors
from kasparro.core.errors import ConnectionLostError, ContentionError
from kasparro.ingestion.loaded import Loaded, settled
from kasparro.ingestion.segments import segments
from kasparro.schemas.batches import LaneBatch, LaneState, RunStamp
from kasparro.schemas.counters import Counters
from kasparro.services import batches, checkpoints, deletions, first_load, loading, records, rejects
from kasparro.services.batches import BatchResult
from kasparro.services.classification import classify

CONTENTION_ATTEMPTS = 3
ROLLBACK_SECONDS = 5.0
"""A server that takes longer is believed to be away: closing the connection rolls back as well."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a lane batch: its counters, digest delta (modulo 2**128) and the unified ids that it named."""

    counters: Counters
    digest_delta: int
    seen: BitMap64
    started: float
    """`perf_counter` when the transaction began."""


class LaneStore(Protocol):
    """The write side of one lane. A batch is `write_data`, `write_checkpoint`, `commit`; or `rollback` after either."""

    @property
    def state(self) -> LaneState: ...

    def begin(self, partition: str, state: LaneState) -> None:
        """Go on with another partition, from where the lane stands there."""
        ...

    async def write_data(self, batch: LaneBatch) -> Written:
        """Begin the transaction, check the fence, write raw, unified and rejected rows.

        Raises FencedError, ConservationError, ContentionError, ConnectionLostError.
        """
        ...

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:
        """Write the batch's row and move the lane's checkpoint."""
        ...

    async def commit(self) -> None:
        """Commit; raises ConnectionLostError when the outcome is unknown."""
        ...

    async def rollback(self) -> None:
        """Give the transaction up, if there is one. Raises ConnectionLostError when only closing could do that."""
        ...


async def write(store: LaneStore, batch: LaneBatch) -> Written:
    """One lane batch in one transaction, repeated on contention up to three times in all."""
    for attempt in range(1, CONTENTION_ATTEMPTS + 1):
        try:
            written = await store.write_data(batch)
            await store.write_checkpoint(batch, written)
            await store.commit()
        except ContentionError:
            await store.rollback()
            if attempt == CONTENTION_ATTEMPTS:
                raise
        except BaseException:
            with suppress(ConnectionLostError):  # what came first goes up; the connection is closed and will say so
                await store.rollback()
            raise
        else:
            return written
    raise AssertionError("unreachable")


class PostgresLaneStore:
    """LaneStore over one connection; `first` allows the direct COPY of a source's very first load."""

    def __init__(self, connection: Connection, stamp: RunStamp, *, first: bool) -> None:
        self._connection = connection
        self._stamp = stamp
        self._first = first
        self._transaction: Any = None
        self._partition = ""
        self._state = self._next = LaneState(0, 0, 0)

    @property
    def state(self) -> LaneState:
        return self._state

    def begin(self, partition: str, state: LaneState) -> None:
        self._partition = partition
        self._state = self._next = state

    async def write_data(self, batch: LaneBatch) -> Written:
        started = perf_counter()
        first = await asyncio.to_thread(first_load.prepare, batch) if self._first else None
        with house_errors():
            self._transaction = self._connection.transaction()
            await self._transaction.start()
            await checkpoints.fence(self._connection, self._stamp, self._partition, self._state)
            loaded = await self._load(batch, first, datetime.now(UTC))
            seen = BitMap64([*loaded.seen, *await self._filtered_ids(batch)])
        counters = _counters(batch, loaded)
        where = f"{self._partition}, lane {batch.lane}, up to record {batch.ordinal}"
        counters.require_conservation(where, from_raw=self._stamp.from_raw)
        return Written(counters, loaded.digest_delta, seen, started)

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:
        seconds = {**batch.stage_seconds, "store": perf_counter() - written.started}
        result = BatchResult(written.counters, written.digest_delta, written.seen.serialize(), seconds)
        with house_errors():
            await batches.insert(self._connection, self._stamp.run_id, self._state.seq + 1, batch, result)
            await checkpoints.advance(self._connection, self._stamp, batch)
        self._next = LaneState(batch.lane, self._state.seq + 1, batch.ordinal)

    async def commit(self) -> None:
        with house_errors():
            await self._transaction.commit()
        self._transaction = None
        self._state = self._next

    async def rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and not self._connection.is_closed():
            try:
                async with asyncio.timeout(ROLLBACK_SECONDS):
                    with house_errors():
                        await transaction.rollback()
            except (asyncpg.InterfaceError, TimeoutError) as error:  # the operation that failed is not over
                self._connection.terminate()
                reason = str(error) or f"no answer within {ROLLBACK_SECONDS:g} s"
                raise ConnectionLostError(f"database: no way to roll back: {reason}") from error

    async def _load(self, batch: LaneBatch, first: first_load.FirstLoad | None, at: datetime) -> Loaded:
        """What became of the batch. `first`: the batch as a first load's."""
        if first is not None:
            try:
                return await self._load_first(batch, first, at)
            except asyncpg.UniqueViolationError:
                self._first = False
        loaded = Loaded()
        for number, part in enumerate(segments(batch)):
            if number:
                await loading.begin_part(self._connection)
            loaded = await self._load_part(part, loaded, at)
        keys, reasons = settled(batch, loaded.lost)
        if batch.rows.num_rows or batch.tombstones:
            await self._resolve(batch, keys, at)
        if reasons:
            await rejects.record(self._connection, reasons, loaded.reject_ids, self._stamp, at)
        return loaded

    async def _load_part(self, part: LaneBatch, loaded: Loaded, at: datetime) -> Loaded:
        """Write a part of a batch in which no key has both tombstones and other records; `loaded` with that added."""
        if part.rows.num_rows:
            verdict = await classify(self._connection, part, self._stamp)
            raw_written = await loading.write(self._connection, part, verdict, self._stamp, at)
            loaded = loaded.and_verdict(part, verdict, raw_written)
        if part.tombstones:
            buried = await deletions.bury(self._connection, self._stamp, part.tombstones, part.fetched_at, at)
            loaded = loaded.and_buried(part, buried)
        return loaded

    async def _load_first(self, batch: LaneBatch, first: first_load.FirstLoad, at: datetime) -> Loaded:
        """Inside a savepoint, which a key that is already there rolls back."""
        async with self._connection.transaction():
            verdict = await first_load.judge(self._connection, first)
            raw_written = await loading.write(self._connection, batch, verdict, self._stamp, at)
        await self._resolve(batch, batch.accepted_keys(), at)
        return Loaded().and_verdict(batch, verdict, raw_written)

    async def _resolve(self, batch: LaneBatch, keys: list[str], at: datetime) -> None:
        """Resolve open rejects of the keys that the batch has accepted, or that are deleted."""
        if await rejects.has_open(self._connection, self._stamp.source_id):
            await rejects.resolve(self._connection, self._stamp.source_id, at, keys)
            buried = [tombstone.record_key for tombstone in batch.tombstones]
            await rejects.resolve(self._connection, self._stamp.source_id, at, buried, resolution="tombstone")

    async def _filtered_ids(self, batch: LaneBatch) -> list[int]:
        if not batch.filtered_keys:
            return []
        return await records.ids_of(self._connection, self._stamp.source_id, batch.filtered_keys)


def _counters(batch: LaneBatch, loaded: Loaded) -> Counters:
    tally = loaded.tally
    return Counters(
        fetched=batch.fetched,
        inserted=tally.inserted,
        updated=tally.updated,
        updated_payload=tally.updated_payload,
        unchanged=tally.unchanged,
        duplicate=tally.duplicate,
        duplicate_payload=tally.duplicate_payload,
        rejected=batch.rejected,
        rejected_new=tally.rejected_new,
        filtered=batch.filtered,
        deleted=loaded.deleted,
        raw_written=loaded.raw_written,
    )
