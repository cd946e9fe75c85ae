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

from kasparro.core.canonical import DIGEST_MODULUS, digest_term
from kasparro.core.database import Connection, house_errors
from kasparro.core.errors import ConnectionLostError, ContentionError
from kasparro.schemas.batches import LaneBatch, LaneState, RunStamp
from kasparro.schemas.counters import Counters
from kasparro.services import batches, checkpoints, first_load, loading, records, rejects, staging
from kasparro.services.batches import BatchResult
from kasparro.services.copy_format import encode
from kasparro.services.staging import Tally

CONTENTION_ATTEMPTS = 3


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
        prepared = await asyncio.to_thread(first_load.prepare, batch) if self._first else None
        staged = b"" if prepared else await asyncio.to_thread(encode, batch.rows)
        with house_errors():
            self._transaction = self._connection.transaction()
            await self._transaction.start()
            await checkpoints.fence(self._connection, self._stamp, self._partition, self._state)
            at = datetime.now(UTC)
            tally, raw_written, new_ids = await self._load(batch, prepared or staged, at)
            seen = BitMap64([*tally.seen, *new_ids, *await self._filtered_ids(batch)])
        counters = _counters(batch, tally, raw_written)
        counters.require_conservation(f"{self._partition}, lane {batch.lane}, up to record {batch.ordinal}")
        delta = await asyncio.to_thread(digest_delta, batch, tally)
        return Written(counters, delta, seen, started)

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
                with house_errors():
                    await transaction.rollback()
            except asyncpg.InterfaceError as error:  # the operation that failed is not over
                self._connection.terminate()
                raise ConnectionLostError(f"database: no way to roll back: {error}") from error

    async def _load(
        self, batch: LaneBatch, ready: first_load.FirstLoad | bytes, at: datetime
    ) -> tuple[Tally, int, list[int]]:
        """`ready` is what one of the two ways of writing takes, made before the transaction began."""
        if isinstance(ready, first_load.FirstLoad):
            try:
                return await self._load_directly(batch, ready, at)
            except asyncpg.UniqueViolationError:
                self._first = False
                ready = await asyncio.to_thread(encode, batch.rows)
        if batch.rows.num_rows == 0:
            return staging.NOTHING, 0, []
        return await self._load_by_join(batch, ready, at)

    async def _load_directly(
        self, batch: LaneBatch, prepared: first_load.FirstLoad, at: datetime
    ) -> tuple[Tally, int, list[int]]:
        """Both COPYs inside a savepoint, which a key that is already there rolls back."""
        connection, stamp = self._connection, self._stamp
        async with connection.transaction():
            raw_written, new_ids = await first_load.load(
                connection, prepared, stamp, fetched_at=batch.fetched_at, at=at
            )
        await self._resolve(batch, at)
        return prepared.reduction.tally(batch.ordinals()), raw_written, new_ids

    async def _load_by_join(self, batch: LaneBatch, staged: bytes, at: datetime) -> tuple[Tally, int, list[int]]:
        connection, stamp = self._connection, self._stamp
        await staging.stage(connection, staged)
        tally = await staging.classify(connection, stamp)
        raw_written = await loading.write_raw(connection, stamp, batch.fetched_at) if tally.raw_rows else 0
        new_ids = await loading.write_unified(connection, tally, stamp, at)
        await self._resolve(batch, at)
        if batch.reasons:
            await rejects.record(connection, batch.reasons, stamp, at)
        return tally, raw_written, new_ids

    async def _resolve(self, batch: LaneBatch, at: datetime) -> None:
        """Resolve open rejects of the keys that the batch has accepted."""
        if await rejects.has_open(self._connection, self._stamp.source_id):
            await rejects.resolve(self._connection, self._stamp.source_id, at, batch.accepted_keys())

    async def _filtered_ids(self, batch: LaneBatch) -> list[int]:
        if not batch.filtered_keys:
            return []
        return await records.ids_of(self._connection, self._stamp.source_id, batch.filtered_keys)


def digest_delta(batch: LaneBatch, tally: Tally) -> int:
    """What the touched keys add to the source's digest, modulo 2**128: new term minus old, nothing where equal."""
    if not tally.touched_ordinals:
        return 0
    positions = {ordinal: index for index, ordinal in enumerate(batch.ordinals())}
    touched = [positions[ordinal] for ordinal in tally.touched_ordinals]
    keys, hashes = batch.keys(), batch.record_hashes()
    changes = [
        (keys[index], hashes[index], known)
        for index, known in zip(touched, tally.known_hashes, strict=True)
        if hashes[index] != known
    ]
    new = sum([digest_term(key, current) for key, current, _ in changes])
    old = sum([digest_term(key, known) for key, _, known in changes if known is not None])
    return (new - old) % DIGEST_MODULUS


def _counters(batch: LaneBatch, tally: Tally, raw_written: int) -> Counters:
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
        raw_written=raw_written,
    )
