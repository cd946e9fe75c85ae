"""Which records differ between two readings of a source: told from the ids that their batches have seen, and from the
raw rows that were written between the end of one and the end of the other.

Records are numbers in roaring bitmaps, and rows are streamed, so that memory does not grow with the table. Inside the
caller's transaction, which shows all statements the same.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from pyroaring import BitMap64

from kasparro.core.database import Connection
from kasparro.services.loading import raw_table
from kasparro.services.raw_retention import TYPES
from kasparro.services.raw_rows import row_of
from kasparro.services.read_passes import Reading

_SEEN: Final = """
select seen, fetched from etl_run_batches where run_id = any($1::bigint[])
"""
_GIVEN: Final = """
    select id, record_key, prev_raw_id, content_hash, run_id from {raw}
    where source_id = $1::integer and id > $2::bigint and id <= $3::bigint
    union all
    select id, record_key, prev_raw_id, content_hash, run_id from kept_payloads
    where source_id = $1::integer and id > $2::bigint and id <= $3::bigint
"""
_ACCEPTED: Final = """
given as (
    {given}
), accepted as (
    select g.id, g.record_key, g.prev_raw_id
    from given g
    where g.record_key is not null and not exists (
        select from rejected_records x join etl_runs e on e.id = g.run_id
        where x.source_id = $1::integer and x.content_hash = g.content_hash and x.raw_id = g.id
          and x.first_seen_at <= e.finished_at)
    union all
    select r.id, coalesce(r.record_key, late.record_key), r.prev_raw_id
    from (select raw_id, min(record_key) as record_key from rejected_records
          where source_id = $1::integer and state = 'requeued' and resolved_at > $4::timestamptz
            and resolved_at <= $5::timestamptz
          group by raw_id) late
         cross join lateral {late} r
)
"""
"""Payloads that became the state of their record: those of rejects did not, until a requeue loads them.

A reject that a replay has made is younger than the run that wrote its payload, which did become a record then.
"""
_MOVED: Final = """
with {accepted}, moved as (
    select record_key, count(*) as links, max(id) as last_id, (array_agg(prev_raw_id order by id))[1] as base_id
    from accepted where record_key is not null group by record_key
)
select u.id, case when u.deletion = 'tombstone' and u.raw_id = m.last_id then 'deleted' else 'changed' end as kind,
       case when m.base_id is null then 'fresh'
            when m.links = 1 then 'differs'
            else coalesce((select case when b.content_hash = a.content_hash then 'same' else 'differs' end
                           from {before} b cross join {after} a), 'unsure') end as payload
from moved m cross join lateral (
    select id, deletion, raw_id from unified_data
    where source_id = $1::integer and record_key = m.record_key limit 1) u
"""
_LINKS: Final = """
with {accepted}
select record_key, max(id) as last_id, (array_agg(prev_raw_id order by id))[1] as base_id
from accepted where record_key = any($6::text[]) group by record_key
"""
_WRITTEN: Final = """
select coalesce(sum(raw_written), 0)::bigint from etl_runs
where source_id = $1::integer and last_raw_id > $2::bigint and last_raw_id <= $3::bigint
"""
_DELETED_BEFORE: Final = """
select array(select id from unified_data where id = any($1::bigint[]) and deleted_at <= $2::timestamptz)
"""
_REWRITTEN: Final = """
select coalesce(sum(b.updated - b.updated_payload), 0)::bigint
from etl_runs r join etl_run_batches b on b.run_id = r.id
where r.source_id = $1::integer and r.finished_at > $2::timestamptz and r.finished_at <= $3::timestamptz
  and r.operation is distinct from 'requeue'
"""
_REMAPPED: Final = """
with later as materialized (
    select id from etl_runs
    where source_id = $2::integer and (finished_at is null or finished_at > $4::timestamptz))
select count(*) filter (where run_id in (select id from later)) as lost,
       coalesce(array_agg(id) filter (where last_changed_at > $3::timestamptz), '{}') as changed
from unified_data where id = any($1::bigint[])
"""
_RECORDS: Final = """
select id, record_key, first_seen_at, deleted_at, deletion from unified_data where id = any($1::bigint[])
"""
_AT_ONCE: Final = 10_000


def _filled(statement: str, source_type: str) -> str:
    accepted = _ACCEPTED.replace("{given}", _GIVEN).replace("{late}", row_of(source_type, "late.raw_id"))
    return (
        statement.replace("{accepted}", accepted)
        .replace("{given}", _GIVEN)
        .replace("{before}", row_of(source_type, "m.base_id"))
        .replace("{after}", row_of(source_type, "m.last_id"))
        .replace("{raw}", raw_table(source_type))
    )


_STREAM_MOVED: Final = {name: _filled(_MOVED, name) for name in TYPES}
_FIND_LINKS: Final = {name: _filled(_LINKS, name) for name in TYPES}
_COUNT_GIVEN: Final = {name: _filled("select count(*) from ({given}) given", name) for name in TYPES}


@dataclass(frozen=True, slots=True)
class Between:
    """What came between the ends of two readings of one source, the earlier one first."""

    source_type: str
    base: Reading
    target: Reading
    same_mapping: bool = True

    @property
    def raw_ids(self) -> tuple[int, int | None, int | None]:
        """Of which source, after which raw row and up to which one."""
        return self.base.source_id, self.base.last_raw_id, self.target.last_raw_id

    @property
    def bounds(self) -> tuple[Any, ...]:
        """The same, and after which moment and up to which one."""
        return *self.raw_ids, self.base.finished_at, self.target.finished_at


@dataclass(slots=True)
class Moved:
    """Ids of records with payloads that came between: of those that had none before (`fresh`), of those whose payload
    is another one since, of those among them that are deleted by a tombstone now, and of those that have the payload
    of before again (`back`). `unsure` counts those of which it is only known that they changed more than once.
    """

    fresh: BitMap64 = field(default_factory=BitMap64)
    changed: BitMap64 = field(default_factory=BitMap64)
    deleted: BitMap64 = field(default_factory=BitMap64)
    back: BitMap64 = field(default_factory=BitMap64)
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """The raw row that a record pointed at when the earlier reading ended, and when the later one did."""

    before: int | None
    after: int


async def seen(connection: Connection, run_ids: Sequence[int]) -> BitMap64 | None:
    """The records that the batches of these runs have named; None where retention has folded them."""
    found = BitMap64()
    async for rows in _streamed(connection, _SEEN, list(run_ids), at_once=50):
        for row in rows:
            if row["seen"] is not None:
                found |= BitMap64.deserialize(row["seen"])
            elif row["fetched"]:
                return None
    return found


async def moved(connection: Connection, between: Between) -> Moved:
    """What happened to the records that have payloads of that time."""
    found = Moved()
    async for rows in _streamed(connection, _STREAM_MOVED[between.source_type], *between.bounds, at_once=_AT_ONCE):
        found.fresh.update(row["id"] for row in rows if row["payload"] == "fresh")
        found.back.update(row["id"] for row in rows if row["payload"] == "same")
        differing = [row for row in rows if row["payload"] in ("differs", "unsure")]
        found.changed.update(row["id"] for row in differing)
        found.deleted.update(row["id"] for row in differing if row["kind"] == "deleted")
        found.unsure += sum(row["payload"] == "unsure" for row in differing)
    return found


async def missing_payloads(connection: Connection, between: Between) -> int:
    """How many of the payloads that were written between are there no more."""
    written = int(await connection.fetchval(_WRITTEN, *between.raw_ids))
    return written - int(await connection.fetchval(_COUNT_GIVEN[between.source_type], *between.raw_ids))


async def deleted_before(connection: Connection, ids: BitMap64, reading: Reading) -> BitMap64:
    """Those of the records that were deleted by the end of the reading, and are so still."""
    found = BitMap64()
    for portion in portions(ids):
        found.update(await connection.fetchval(_DELETED_BEFORE, portion, reading.finished_at))
    return found


async def rewritten(connection: Connection, between: Between) -> int:
    """How many records were written again with the payload that they had. A requeue loads other payloads."""
    base, target = between.base, between.target
    return int(await connection.fetchval(_REWRITTEN, base.source_id, base.finished_at, target.finished_at))


async def remapped(connection: Connection, ids: BitMap64, between: Between) -> tuple[int, BitMap64]:
    """How many of these records were written after the target, and which have become others since the base."""
    count, changed = 0, BitMap64()
    for portion in portions(ids):
        row = await connection.fetchrow(
            _REMAPPED, portion, between.base.source_id, between.base.finished_at, between.target.finished_at
        )
        assert row is not None
        count += int(row["lost"])
        changed.update(row["changed"])
    return count, changed


async def records(connection: Connection, ids: Sequence[int]) -> dict[int, Any]:
    """Keys of records, and whether they are deleted, by id."""
    return {row["id"]: row for row in await connection.fetch(_RECORDS, ids)}


async def links(connection: Connection, between: Between, keys: Sequence[str]) -> dict[str, Link]:
    """The payloads before and after, by key, of records that have payloads of that time."""
    rows = await connection.fetch(_FIND_LINKS[between.source_type], *between.bounds, keys)
    return {row["record_key"]: Link(row["base_id"], row["last_id"]) for row in rows}


def portions(ids: BitMap64) -> Iterator[list[int]]:
    """The ids in ascending order, some at a time."""
    numbers = iter(ids)
    while portion := list(islice(numbers, _AT_ONCE)):
        yield portion


async def _streamed(connection: Connection, statement: str, *arguments: Any, at_once: int) -> AsyncGenerator[list[Any]]:
    cursor = await connection.cursor(statement, *arguments)
    while rows := await cursor.fetch(at_once):
        yield rows
