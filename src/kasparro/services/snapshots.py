"""What a complete reading lacks: records that no batch of its pass has seen. They are gone, and marked so: the live
ones, and those that a replay has left out, which the next mapping must not bring back.

Ids are compared as roaring bitmaps and rows are streamed, so that memory does not grow with the table.
"""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from pyroaring import BitMap64

from kasparro.core.canonical import DIGEST_MODULUS, digest_term
from kasparro.core.database import Connection
from kasparro.schemas.batches import RunStamp
from kasparro.services import rejects
from kasparro.services.loading import affected, require_rows

_PARTS = """
with own as (select id, plan from etl_runs where source_id = $1::integer and pass_id = $2::bigint),
     planned as (select distinct jsonb_array_elements_text(plan -> 'partitions') as partition from own)
select p.partition, settled.coverage, coalesce(lanes.ordinal, 0) as ordinal, coalesce(read.fetched, 0) as fetched
from planned p
left join etl_checkpoints settled
    on settled.source_id = $1 and settled.scope = '' and settled.partition = p.partition and settled.lane = -1
       and settled.pass_id = $2
left join lateral (
    select max(ordinal) as ordinal from etl_checkpoints c
    where c.source_id = $1 and c.scope = '' and c.partition = p.partition and c.lane >= 0 and c.pass_id = $2
) lanes on true
left join lateral (
    select sum(b.fetched) as fetched from etl_run_batches b
    where b.run_id in (select id from own) and b.partition = p.partition and b.seen is not null
) read on true
order by p.partition
"""
_NAMELESS = """
select r.locator from rejected_records r
where r.source_id = $1::integer and r.record_key is null
  and (r.run_id in (select id from etl_runs where source_id = $1 and pass_id = $2::bigint)
       or r.last_seen_at >= (select min(started_at) from etl_runs where source_id = $1 and pass_id = $2))
order by r.id limit 1
"""
_SEEN = """
select seen from etl_run_batches
where run_id in (select id from etl_runs where source_id = $1::integer and pass_id = $2::bigint) and seen is not null
"""
_OLDER = """
select id, deleted_at is not null as left_out from unified_data
where source_id = $1::integer and (deleted_at is null or deletion = 'replay') and pass_id < $2::bigint
"""
_LIVE = "select count(*) from unified_data where source_id = $1::integer and deleted_at is null"
_MARK = """
update unified_data
set deleted_at = $4::timestamptz, deletion = 'gone', last_changed_at = $4::timestamptz, run_id = $2::bigint,
    pass_id = $3::bigint
where id = any($1::bigint[]) and (deleted_at is null or deletion = 'replay')
returning record_key, record_hash
"""
_DIGEST = "update sources set digest = mod(digest + $2::numeric, $3::numeric) where id = $1::integer"
_NOTE = "update etl_runs set snapshot = $2::text, gone = $3::bigint where id = $1::bigint"
_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a pass: the coverage that it ended with in that pass, how many records its reader counted, and how
    many its batches did."""

    partition: str
    coverage: str | None
    ordinal: int
    fetched: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Ids of unified rows that a complete reading lacks: `live` records, and those that a replay has `left_out`."""

    live: BitMap64
    left_out: BitMap64


async def parts(connection: Connection, stamp: RunStamp) -> list[Part]:
    """All partitions that any run of the pass set out to read, by name."""
    return [Part(**dict(row)) for row in await connection.fetch(_PARTS, stamp.source_id, stamp.pass_id)]


async def nameless_reject(connection: Connection, stamp: RunStamp) -> str | None:
    """Where a record of the pass stands that was rejected and whose key cannot be told: it may be any."""
    locator: str | None = await connection.fetchval(_NAMELESS, stamp.source_id, stamp.pass_id)
    return locator


async def missing(connection: Connection, stamp: RunStamp) -> Missing:
    """The records that stood before the pass and that no batch of it has seen."""
    seen, found = BitMap64(), Missing(BitMap64(), BitMap64())
    async for rows in _streamed(connection, _SEEN, stamp, at_once=100):
        for row in rows:
            seen |= BitMap64.deserialize(row["seen"])
    async for rows in _streamed(connection, _OLDER, stamp, at_once=_AT_ONCE):
        found.live.update(row["id"] for row in rows if not row["left_out"])
        found.left_out.update(row["id"] for row in rows if row["left_out"])
        found.live.difference_update(seen)
        found.left_out.difference_update(seen)
    return found


async def count_live(connection: Connection, source_id: int) -> int:
    """How many live records the source has."""
    return int(await connection.fetchval(_LIVE, source_id))


async def mark_gone(connection: Connection, stamp: RunStamp, missing: Missing, at: datetime) -> None:
    """Mark these records as gone, take the live ones out of the source's digest, and resolve their open rejects."""
    total = 0
    for ids in _portions(missing.live):
        total += sum(map(digest_term, await _mark(connection, stamp, ids, at)))
    for ids in _portions(missing.left_out):
        await _mark(connection, stamp, ids, at)  # the digest has lost them already
    status = await connection.execute(
        _DIGEST, stamp.source_id, Decimal(-total % DIGEST_MODULUS), Decimal(DIGEST_MODULUS)
    )
    require_rows("update of sources", affected(status), 1)


async def note(connection: Connection, run_id: int, outcome: str, gone: int) -> None:
    """Say on the run's row what became of the comparison."""
    require_rows("update of etl_runs", affected(await connection.execute(_NOTE, run_id, outcome, gone)), 1)


async def _mark(connection: Connection, stamp: RunStamp, ids: list[int], at: datetime) -> list[bytes]:
    """The record hashes of what was marked."""
    rows = await connection.fetch(_MARK, ids, stamp.run_id, stamp.pass_id, at)
    require_rows("update of unified_data", len(rows), len(ids))
    keys = [row["record_key"] for row in rows]
    await rejects.resolve(connection, stamp.source_id, at, keys, resolution="gone")
    return [row["record_hash"] for row in rows]


def _portions(ids: BitMap64) -> Iterator[list[int]]:
    numbers = iter(ids)
    while portion := list(islice(numbers, _AT_ONCE)):
        yield portion


async def _streamed(
    connection: Connection, statement: str, stamp: RunStamp, *, at_once: int
) -> AsyncGenerator[list[Any]]:
    """Rows about the pass, some at a time; inside the caller's transaction."""
    cursor = await connection.cursor(statement, stamp.source_id, stamp.pass_id)
    while rows := await cursor.fetch(at_once):
        yield rows
