"""Deleting records that the source says are deleted: tombstones. The row stays, with when and why, and its history.

A tombstone with a lower version than the record's (`versions.py`) changes nothing. A record that a replay has left out
is not live, so its tombstone counts as one that deletes nothing; but the row says from then on that the source deleted
it, and no replay brings it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.schemas.batches import RunStamp, Tombstone
from kasparro.services.loading import raw_table, require_rows

_BURY = """
with named as materialized (
    select s.*, u.id as unified_id, u.raw_id as known_raw_id, u.record_hash as known_record_hash,
           u.id is not null and u.deleted_at is null as was_live,
           (u.deleted_at is null or u.deletion = 'replay')
           and (s.version is null or u.version is null or s.version collate "C" >= u.version
                or not exists (
                    select from mapping_versions mine join mapping_versions other
                                                      on other.mapping -> 'version' = mine.mapping -> 'version'
                    where mine.id = $4::integer and other.id = u.mapping_version)) as applies
    from unnest($5::bigint[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[], $11::bigint[])
             as s(ordinal, record_key, payload, content_hash, locator, version, stored_raw_id)
         left join lateral (
             select id, raw_id, record_hash, deleted_at, deletion, version, mapping_version
             from unified_data where source_id = $1::integer and record_key = s.record_key limit 1) u on true
), {deleted}, marked as (
    update unified_data u
    set raw_id = d.new_raw_id, content_hash = d.content_hash, deleted_at = $12::timestamptz, deletion = 'tombstone',
        version = coalesce(d.version, u.version), last_changed_at = $12::timestamptz, run_id = $2::bigint,
        pass_id = $3::bigint, mapping_version = $4::integer
    from deleted d where u.id = d.unified_id
    returning u.id
), left_out as (
    update unified_data u
    set deleted_at = $12::timestamptz, deletion = 'tombstone', version = coalesce(d.version, u.version),
        last_changed_at = $12::timestamptz, run_id = $2::bigint, pass_id = $3::bigint, mapping_version = $4::integer
    from (select distinct on (record_key) unified_id, version
          from named where applies and not was_live and {is_newer} order by record_key, ordinal) d
    where u.id = d.unified_id
)
select (select count(*) from deleted) as deleted, (select count(*) from marked) as marked,
       array(select unified_id from named where unified_id is not null) as seen,
       array(select known_record_hash from deleted) as known_hashes,
       (select count(*) from kept) as raw_written
"""
_NEW = """deleted as materialized (
    select sorted.*, nextval('raw_id_seq') as new_raw_id
    from (select distinct on (record_key) * from named where applies and was_live order by record_key, ordinal) sorted
), kept as (
    insert into {raw} (id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id, fetched_at)
    select new_raw_id, $1::integer, $2::bigint, record_key, payload::jsonb, content_hash, locator, known_raw_id,
           $13::timestamptz
    from deleted
    returning id
)"""
_STORED = """deleted as materialized (
    select distinct on (record_key) *, stored_raw_id as new_raw_id
    from named
    where applies and was_live
          and case when $13::boolean then known_raw_id = stored_raw_id else known_raw_id < stored_raw_id end
    order by record_key, stored_raw_id desc
), kept as (
    select from deleted where false
)"""
_BURY_STORED: Final = _BURY.replace("{deleted}", _STORED).replace("{is_newer}", "known_raw_id < stored_raw_id")
_STATEMENTS: Final = {
    name: _BURY.replace("{deleted}", _NEW).replace("{raw}", raw_table(name)).replace("{is_newer}", "true")
    for name in ("api", "csv", "rss")
}


@dataclass(frozen=True, slots=True)
class Buried:
    """What became of tombstones: `deleted` of them deleted a record, the others named none that was live."""

    deleted: int
    raw_written: int
    seen: list[int]
    """Ids of the unified rows that they name."""
    known_hashes: list[bytes]
    """The record hashes of those that were live."""


async def bury(
    connection: Connection, stamp: RunStamp, tombstones: Sequence[Tombstone], fetched_at: datetime, at: datetime
) -> Buried:
    """Mark the live records of these keys as deleted, each by its first tombstone, which is kept as a raw row; and
    those that a replay has left out, uncounted and without a raw row.

    The tombstones' keys must not be those of other records of the same part of a batch.
    """
    row = await connection.fetchrow(
        _STATEMENTS[stamp.source_type], *_arguments(stamp, tombstones, [None] * len(tombstones)), at, fetched_at
    )
    return _buried(row)


async def bury_stored(
    connection: Connection, stamp: RunStamp, tombstones: Sequence[Tombstone], raw_ids: Sequence[int], at: datetime
) -> Buried:
    """The same for tombstones that are raw rows already: of a replay those that the records point at, of a requeue
    those that are newer than what the records point at."""
    is_replay = stamp.operation == "replay"
    return _buried(await connection.fetchrow(_BURY_STORED, *_arguments(stamp, tombstones, raw_ids), at, is_replay))


def _arguments(stamp: RunStamp, tombstones: Sequence[Tombstone], raw_ids: Sequence[int | None]) -> list[Any]:
    columns = [
        [getattr(tombstone, name) for tombstone in tombstones]
        for name in ("ordinal", "record_key", "payload_json", "content_hash", "locator", "version")
    ]
    return [stamp.source_id, stamp.run_id, stamp.pass_id, stamp.mapping_version, *columns, raw_ids]


def _buried(row: Any) -> Buried:
    require_rows("update of unified_data", row["marked"], row["deleted"])
    return Buried(int(row["deleted"]), int(row["raw_written"]), row["seen"], row["known_hashes"])
