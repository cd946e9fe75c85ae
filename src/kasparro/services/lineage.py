"""Where a record comes from: its mapping, its payloads back to the first, and the batches that brought them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kasparro.core.canonical import lane_of
from kasparro.core.database import Connection
from kasparro.services.data.columns import UTC_TIME
from kasparro.services.data.written import RECORD_COLUMNS
from kasparro.services.loading import raw_table
from kasparro.services.raw_retention import TYPES
from kasparro.services.raw_rows import row_of

_RECORD: Final = f"""
select u.id, u.source_id, u.record_key, u.raw_id, u.run_id, s.name as source, s.type as source_type,
       (select row_to_json(shown)::text from (
            select {RECORD_COLUMNS}, u.version, u.mapping_version, u.deletion,
                   to_char(u.deleted_at at time zone 'utc', {UTC_TIME}) as deleted_at) shown) as record,
       m.id as mapping_id, m.hash as mapping_hash, m.mapping::text as mapping_text, m.created_at as mapping_created_at
from unified_data u join sources s on s.id = u.source_id left join mapping_versions m on m.id = u.mapping_version
where u.id = $1::bigint
"""  # noqa: S608
_CHAIN: Final = {
    name: f"""
with recursive chain as (
    select r.*, 1 as place from (select $1::bigint as id) first cross join lateral {row_of(name, "first.id")} r
    union all
    select r.*, chain.place + 1 from chain cross join lateral {row_of(name, "chain.prev_raw_id")} r
    where chain.place < $2::integer and chain.prev_raw_id < chain.id
)
select c.id, c.record_key, c.locator, c.fetched_at, c.run_id, c.prev_raw_id, c.payload::text as payload,
       exists(select from kept_payloads k where k.id = c.id) as kept
from chain c order by c.place
"""  # noqa: S608
    for name in TYPES
}
_BATCHES: Final = {
    name: f"""
select distinct on (r.id) r.id as raw_id, b.partition, b.lane, b.seq, b.ordinal, b.committed_at, b.seen,
       count(*) over (partition by r.id, b.xmin::text) = 1 as alone
from unnest($1::bigint[], $2::smallint[]) as wanted(id, lane)
     join {raw_table(name)} r on r.id = wanted.id
     join etl_run_batches b on b.run_id = r.run_id and b.lane = wanted.lane
     cross join lateral (select mod(
         r.xmin::text::bigint - b.xmin::text::bigint + 4294967296, 4294967296) as later) transactions
where later < 2147483648
order by r.id, later
"""  # noqa: S608
    for name in TYPES
}
"""A lane writes batch after batch, and the number of a batch's transaction is drawn before those of what it writes in a
savepoint. So of the batches of a row's run and lane, it is of the last that is not later than the row (`later` goes
round, as these numbers do). A restored database has other numbers: see `batches`.
"""
_LANES: Final = """
select id, (plan ->> 'lanes')::integer as lanes from etl_runs
where id = any($1::bigint[]) and jsonb_typeof(plan -> 'lanes') = 'number'
"""
_REJECTS: Final = """
select id, run_id, code, field, message, state, resolution, times, raw_id, locator, first_seen_at, last_seen_at,
       resolved_at
from rejected_records where source_id = $1::integer and record_key = $2::text
order by id desc limit $3::integer
"""


@dataclass(frozen=True, slots=True)
class Mapping:
    """What makes records of payloads; `text` is its canonical JSON."""

    id: int
    hash: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TracedRecord:
    """A record, deleted or not: `json` is what is shown of it. Without a mapping where its version is not known."""

    id: int
    source_id: int
    source_type: str
    record_key: str
    raw_id: int
    run_id: int
    json: str
    mapping: Mapping | None


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A payload of a record's history, as JSON text; `kept`: by retention, when it dropped the others of its month."""

    id: int
    record_key: str | None
    locator: str
    fetched_at: datetime
    run_id: int
    prev_raw_id: int | None
    payload: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """A lane batch; `ordinal` is the last record of the pass that it left behind."""

    partition: str
    lane: int
    seq: int
    ordinal: int
    committed_at: datetime


async def find_record(connection: Connection, record_id: int) -> TracedRecord | None:
    """The record of this id, also when it is deleted."""
    row = await connection.fetchrow(_RECORD, record_id)
    if row is None:
        return None
    mapping = None
    if row["mapping_id"] is not None:
        mapping = Mapping(*(row[f"mapping_{name}"] for name in ("id", "hash", "text", "created_at")))
    names = ("id", "source_id", "source_type", "record_key", "raw_id", "run_id")
    return TracedRecord(**{name: row[name] for name in names}, json=row["record"], mapping=mapping)


async def chain(connection: Connection, source_type: str, raw_id: int, *, limit: int) -> list[ChainLink]:
    """The payload of this id and those before it, newest first. It ends early where a payload is there no more."""
    return [ChainLink(**dict(row)) for row in await connection.fetch(_CHAIN[source_type], raw_id, limit)]


async def batches(connection: Connection, record: TracedRecord, links: Sequence[ChainLink]) -> dict[int, Batch]:
    """The batches that wrote these payloads, by raw id, in so far as it can be told.

    Not of kept payloads, nor of runs whose batches are folded, nor in a restored database, where the numbers of
    transactions say nothing: a batch must have one of its own, and must have seen the record.
    """
    from pyroaring import BitMap64

    lanes = {row["id"]: int(row["lanes"]) for row in await connection.fetch(_LANES, [link.run_id for link in links])}
    known = [link for link in links if lanes.get(link.run_id) and not link.kept]
    own = [lane_of((link.record_key or record.record_key).encode(), lanes[link.run_id]) for link in known]
    rows = await connection.fetch(_BATCHES[record.source_type], [link.id for link in known], own)
    return {
        row["raw_id"]: Batch(**{name: row[name] for name in Batch.__dataclass_fields__})
        for row in rows
        if row["alone"] and row["seen"] is not None and record.id in BitMap64.deserialize(row["seen"])
    }


async def rejects(connection: Connection, record: TracedRecord, *, limit: int) -> list[dict[str, Any]]:
    """Rejects of the record's key, newest first."""
    return [dict(row) for row in await connection.fetch(_REJECTS, record.source_id, record.record_key, limit)]
