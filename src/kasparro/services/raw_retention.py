"""What retention does to raw payloads, month by month of a raw table: count, keep what is pointed at, drop the rest.

A month stands in a partition of its own, or, where none was made for it, in the default partition. What is kept goes to
`kept_payloads`, under its id. Nothing here commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from kasparro.core.database import Connection
from kasparro.services.loading import affected, raw_table
from kasparro.services.raw_partitions import month_after

TYPES: Final = ("api", "csv", "rss")
_POINTED: Final = """
(select raw_id from unified_data where source_id = any($1::integer[])
 union select raw_id from rejected_records where source_id = any($1::integer[]) and state = 'open')
"""
_OF_MONTH: Final = "fetched_at >= $2::timestamptz and fetched_at < $3::timestamptz"
_COLUMNS: Final = "id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id, fetched_at"

_PARTITIONS: Final = """
select child.relname::text as name, pg_total_relation_size(child.oid) as size_bytes,
       make_timestamptz(substring(child.relname from '_y([0-9]{4})m')::integer,
                        substring(child.relname from 'm([0-9]{2})$')::integer, 1, 0, 0, 0, 'UTC') as month
from pg_inherits i join pg_class child on child.oid = i.inhrelid
where i.inhparent = $1::text::regclass and child.relname ~ '_y[0-9]{4}m[0-9]{2}$'
"""
_COUNT: Final = """
select date_trunc('month', r.fetched_at, 'UTC') as month, s.id, s.name, count(*) as rows, null::bigint as pointed,
       sum(pg_column_size(r.payload))::bigint as payload_bytes
from {raw} r join sources s on s.id = r.source_id
where r.fetched_at < $1::timestamptz
group by 1, 2, 3 order by 1, 3
"""
_COUNT_WITH_POINTED: Final = """
with pointed as materialized (
    select raw_id from unified_data union select raw_id from rejected_records where state = 'open')
select date_trunc('month', r.fetched_at, 'UTC') as month, s.id, s.name, count(*) as rows, count(p.raw_id) as pointed,
       sum(pg_column_size(r.payload))::bigint as payload_bytes
from {raw} r join sources s on s.id = r.source_id left join pointed p on p.raw_id = r.id
where r.fetched_at < $1::timestamptz
group by 1, 2, 3 order by 1, 3
"""
_SOURCES: Final = """
select distinct source_id from {raw} where fetched_at >= $1::timestamptz and fetched_at < $2::timestamptz
"""
_KEEP: Final = f"""
insert into kept_payloads ({_COLUMNS})
select {_COLUMNS} from {{raw}} join {_POINTED} p on p.raw_id = id where {_OF_MONTH}
"""  # noqa: S608
_FORGET_REJECTS: Final = f"""
delete from rejected_records r
where r.source_id = any($1::integer[]) and r.state <> 'open'
  and exists (select from {{raw}} where id = r.raw_id and {_OF_MONTH})
  and not exists (select from kept_payloads k where k.id = r.raw_id)
"""  # noqa: S608
_DELETE: Final = f"delete from {{raw}} where source_id = any($1::integer[]) and {_OF_MONTH}"  # noqa: S608

_UNPOINTED: Final = """
k.source_id = $1::integer
and not exists (select from unified_data u where u.source_id = $1::integer and u.raw_id = k.id)
and not exists (
    select from rejected_records r where r.source_id = $1::integer and r.state = 'open' and r.raw_id = k.id)
"""
_COUNT_UNPOINTED: Final = f"""
select count(*) as rows, coalesce(sum(pg_column_size(payload)), 0)::bigint as payload_bytes
from kept_payloads k where {_UNPOINTED}
"""  # noqa: S608
_PRUNE: Final = f"""
with pruned as (delete from kept_payloads k where {_UNPOINTED} returning k.id, pg_column_size(k.payload) as size_bytes),
     forgotten as (delete from rejected_records r using pruned
                   where r.source_id = $1::integer and r.raw_id = pruned.id and r.state <> 'open')
select count(*) as rows, coalesce(sum(size_bytes), 0)::bigint as payload_bytes from pruned
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Share:
    """What a source has of a month; `pointed`, where asked: payloads that a record or open reject points at."""

    source_id: int
    source: str
    rows: int
    pointed: int | None
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class RawMonth:
    """A month of a raw table; without `partition` its rows stand in the default one. An empty partition has no shares.

    `size_bytes`: on disk; of rows in the default partition, their payloads alone.
    """

    source_type: str
    month: datetime
    partition: str | None
    size_bytes: int
    shares: tuple[Share, ...]

    @property
    def end(self) -> datetime:
        return month_after(self.month)

    @property
    def source_ids(self) -> list[int]:
        return [share.source_id for share in self.shares]


async def months(connection: Connection, before: datetime, *, with_pointed: bool) -> list[RawMonth]:
    """The months of all raw tables that begin before this moment, oldest first. Reads all of their rows, and with what
    is pointed at all records.
    """
    count = _COUNT_WITH_POINTED if with_pointed else _COUNT
    found = [month for source_type in TYPES for month in await _months(connection, source_type, count, before)]
    return sorted(found, key=lambda month: (month.month, month.source_type))


async def _months(connection: Connection, source_type: str, count: LiteralString, before: datetime) -> list[RawMonth]:
    shares: dict[datetime, list[Share]] = {}
    for row in await connection.fetch(_of(source_type, count), before):
        share = Share(row["id"], row["name"], row["rows"], row["pointed"], row["payload_bytes"])
        shares.setdefault(row["month"], []).append(share)
    made = {
        row["month"]: (str(row["name"]), int(row["size_bytes"]))
        for row in await connection.fetch(_PARTITIONS, raw_table(source_type))
        if row["month"] < before
    }
    return [
        RawMonth(source_type, month, *made.get(month, (None, _bytes(own))), tuple(own))
        for month in {*shares, *made}
        for own in (shares.get(month, []),)
    ]


async def keep_out_writers(connection: Connection, partition: str) -> None:
    """Until the transaction ends, nobody writes to the partition; readers do not notice."""
    await connection.execute(
        await connection.fetchval("select format('lock table %I in share mode', $1::text)", partition)
    )


async def sources_in(connection: Connection, month: RawMonth) -> set[int]:
    """Ids of the sources that have rows of the month now."""
    rows = await connection.fetch(_of(month.source_type, _SOURCES), month.month, month.end)
    return {row["source_id"] for row in rows}


async def keep_pointed(connection: Connection, month: RawMonth) -> int:
    """Copy what records and open rejects point at; returns how many. Needs the locks of the month's sources."""
    return await _execute(connection, month, _KEEP)


async def forget_rejects(connection: Connection, month: RawMonth) -> int:
    """Remove rejects that are not open and whose payloads go, after `keep_pointed`; returns how many.

    Else the same payload, rejected again one day, would count as known, and be kept nowhere.
    """
    return await _execute(connection, month, _FORGET_REJECTS)


async def delete(connection: Connection, month: RawMonth) -> int:
    """Remove the month's rows of its sources from the default partition."""
    return await _execute(connection, month, _DELETE)


async def drop(connection: Connection, partition: str) -> None:
    """Drop a month's partition: waits for whoever reads the raw table, and keeps others out while it waits."""
    await connection.execute(await connection.fetchval("select format('drop table %I', $1::text)", partition))


async def unpointed(connection: Connection, source_id: int) -> tuple[int, int]:
    """How many kept payloads of the source nothing points at any more, and how large they are."""
    row = await connection.fetchrow(_COUNT_UNPOINTED, source_id)
    assert row is not None
    return int(row["rows"]), int(row["payload_bytes"])


async def prune(connection: Connection, source_id: int) -> tuple[int, int]:
    """Remove them, and closed rejects of theirs. Needs the source's lock."""
    row = await connection.fetchrow(_PRUNE, source_id)
    assert row is not None
    return int(row["rows"]), int(row["payload_bytes"])


async def _execute(connection: Connection, month: RawMonth, statement: LiteralString) -> int:
    status = await connection.execute(_of(month.source_type, statement), month.source_ids, month.month, month.end)
    return affected(status)


def _of(source_type: str, statement: LiteralString) -> LiteralString:
    return statement.replace("{raw}", raw_table(source_type))


def _bytes(shares: list[Share]) -> int:
    return sum(share.payload_bytes for share in shares)
