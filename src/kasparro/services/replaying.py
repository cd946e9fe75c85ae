"""What a replay does to records as they stand: those that pass are written over, those that do not are left out.

Nothing is asked: since the records were read, under the source's lock, nobody but this run has written to them. They
keep their `pass_id`: a reading that is open knows by it which keys it has had, and which records it has not seen.
"""

from collections.abc import Sequence
from datetime import datetime

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, ReplayedShare, RunStamp, StandingRecords
from kasparro.services.loading import affected, require_rows
from kasparro.services.verdict import NO_RAW_ROWS, NO_UNIFIED_ROWS, Tally, UnifiedRows, Verdict

_LEAVE_OUT = """
update unified_data
set deleted_at = $5::timestamptz, deletion = 'replay', last_changed_at = $5::timestamptz, run_id = $2::bigint,
    mapping_version = $3::integer
where id = any($4::bigint[]) and source_id = $1::integer and deleted_at is null
"""
_RESOLVE = """
update rejected_records set state = 'resolved', resolved_at = $4::timestamptz, resolution = $5::text
where id = any(array(
    select known.id
    from unnest($2::text[], $3::bigint[]) as judged(record_key, raw_id) cross join lateral (
        select id from rejected_records
        where source_id = $1::integer and state = 'open' and record_key = judged.record_key
          and raw_id = judged.raw_id offset 0) known))
"""


def judge(batch: LaneBatch, replayed: ReplayedShare, stamp: RunStamp) -> Verdict:
    """The verdict on the accepted records: each is written over what it differs from, or what an older mapping made.

    A record whose payload makes another key now changes nothing.
    """
    known, version = replayed.accepted, stamp.mapping_version
    contents = batch.content_hashes()
    records = batch.record_hash_list()
    changed = [
        position
        for position, key in enumerate(batch.accepted_keys())
        if key == known.keys[position]
        and (
            known.mapping_versions[position] != version
            or known.left_out[position]
            or known.record_hashes[position] != records[position]
            or known.content_hashes[position] != contents[position]
        )
    ]
    old = known.take(changed)
    return Verdict(
        tally=Tally(updated=len(changed), unchanged=batch.accepted - len(changed)),
        seen=known.ids,
        raw=NO_RAW_ROWS,
        new=NO_UNIFIED_ROWS,
        changed=UnifiedRows(changed, old.ids, old.raw_ids),
        known_hashes=live_hashes(old),
    )


def live_hashes(records: StandingRecords) -> list[bytes]:
    """The record hashes of those that are not left out already."""
    return [hash_ for hash_, out in zip(records.record_hashes, records.left_out, strict=True) if not out]


async def leave_out(connection: Connection, stamp: RunStamp, records: StandingRecords, at: datetime) -> None:
    """Mark the live ones of these records as deleted by a replay: today's mapping would never have made them."""
    live = [id_ for id_, out in zip(records.ids, records.left_out, strict=True) if not out]
    if live:
        status = await connection.execute(_LEAVE_OUT, stamp.source_id, stamp.run_id, stamp.mapping_version, live, at)
        require_rows("update of unified_data", affected(status), len(live))


async def resolve(
    connection: Connection, source_id: int, records: StandingRecords, at: datetime, resolution: str
) -> None:
    """Resolve the open rejects of these very raw rows; newer ones of the same keys stay open."""
    keys: Sequence[str] = records.keys
    if keys:
        await connection.execute(_RESOLVE, source_id, keys, records.raw_ids, at, resolution)
