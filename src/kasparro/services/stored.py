"""Raw rows that stand already, judged again: the verdict of a requeue or a replay, and what it leaves out.

The same rule as in `classification.py`, except that no raw row is written: a unified row takes the raw row that its
record stands in. A requeue writes only where the unified row has none or an older one; a replay only where the unified
row points at this very raw row.
"""

from collections.abc import Sequence
from datetime import datetime

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services.loading import require_rows
from kasparro.services.verdict import NO_RAW_ROWS, Tally, UnifiedRows, Verdict

_CLASSIFY = """
with known as materialized (
    select s.position, s.ordinal, s.record_key, s.raw_id, u.id as unified_id,
           case when u.deleted_at is null then u.record_hash end as known_record_hash,
           u.pass_id is not distinct from $2::bigint as this_pass,
           case when $7::boolean
                then u.raw_id = s.raw_id
                     and (u.deleted_at is not null or u.content_hash <> s.content_hash
                          or u.mapping_version <> $3::integer)
                else u.id is null or u.raw_id < s.raw_id end as differs
    from unnest($4::bigint[], $5::text[], $6::bytea[], $8::bigint[]) with ordinality
             as s(ordinal, record_key, content_hash, raw_id, position)
         left join lateral (
             select id, raw_id, content_hash, record_hash, deleted_at, pass_id, mapping_version
             from unified_data where source_id = $1::integer and record_key = s.record_key limit 1) u on true
), ranked as (
    select known.*,
           min(ordinal) filter (where differs) over (partition by record_key) as first_differing,
           max(ordinal) filter (where differs) over (partition by record_key) as last_differing
    from known
), judged as (
    select ranked.*,
           case when not coalesce(differs, false) then 'unchanged'
                when this_pass or ordinal > first_differing then 'duplicate'
                when unified_id is null then 'inserted'
                else 'updated' end as outcome,
           coalesce(differs, false) and ordinal = last_differing as writes
    from ranked
), settled as materialized (
    select sorted.position - 1 as position, outcome, raw_id, unified_id, known_record_hash,
           writes and unified_id is not null as changed,
           case when writes and unified_id is null then nextval('unified_data_id_seq') end as new_id
    from (select * from judged order by position) sorted
)
select count(*) filter (where outcome = 'inserted') as inserted,
       count(*) filter (where outcome = 'updated') as updated,
       count(*) filter (where outcome = 'unchanged') as unchanged,
       count(*) filter (where outcome = 'duplicate') as duplicate,
       array(select unified_id from known where unified_id is not null) as seen,
       coalesce(array_agg(raw_id) filter (where outcome = 'unchanged'), '{}') as unchanged_raw_ids,
       coalesce(array_agg(position order by new_id) filter (where new_id is not null), '{}') as new_positions,
       coalesce(array_agg(new_id order by new_id) filter (where new_id is not null), '{}') as new_ids,
       coalesce(array_agg(raw_id order by new_id) filter (where new_id is not null), '{}') as new_raw_ids,
       coalesce(array_agg(position order by position) filter (where changed), '{}') as changed_positions,
       coalesce(array_agg(unified_id order by position) filter (where changed), '{}') as changed_ids,
       coalesce(array_agg(raw_id order by position) filter (where changed), '{}') as changed_raw_ids,
       coalesce(array_agg(known_record_hash) filter (where changed and known_record_hash is not null), '{}')
           as known_hashes
from settled
"""
_LEAVE_OUT = """
with named as (
    select u.id, u.record_hash, u.deleted_at
    from unnest($5::text[]) as given(record_key) cross join lateral (
        select id, record_hash, deleted_at from unified_data
        where source_id = $1::integer and record_key = given.record_key limit 1) u
), left_out as (
    update unified_data u
    set deleted_at = $6::timestamptz, deletion = 'replay', last_changed_at = $6::timestamptz, run_id = $2::bigint,
        pass_id = $3::bigint, mapping_version = $4::integer
    from named where u.id = named.id and named.deleted_at is null
    returning u.id
)
select array(select id from named) as seen,
       array(select record_hash from named where deleted_at is null) as known_hashes,
       (select count(*) from left_out) as left_out
"""


async def classify(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> tuple[Verdict, list[int]]:
    """The verdict on the accepted records of a batch with `stored`, and the raw ids of those that change nothing."""
    assert batch.stored is not None
    accepted = batch.accepted
    row = await connection.fetchrow(
        _CLASSIFY, stamp.source_id, stamp.pass_id, stamp.mapping_version,
        batch.ordinals()[:accepted], batch.accepted_keys(), batch.content_hashes()[:accepted],
        stamp.operation == "replay", batch.stored.raw_ids[:accepted],
    )  # fmt: skip
    assert row is not None
    verdict = Verdict(
        tally=Tally(**{name: row[name] for name in ("inserted", "updated", "unchanged", "duplicate")}),
        seen=row["seen"],
        raw=NO_RAW_ROWS,
        new=UnifiedRows(row["new_positions"], row["new_ids"], row["new_raw_ids"]),
        changed=UnifiedRows(row["changed_positions"], row["changed_ids"], row["changed_raw_ids"]),
        known_hashes=row["known_hashes"],
    )
    return verdict, row["unchanged_raw_ids"]


async def leave_out(
    connection: Connection, stamp: RunStamp, keys: Sequence[str], at: datetime
) -> tuple[list[int], list[bytes]]:
    """Mark the live records of these keys as deleted by a replay: today's mapping would never have made them.

    Returns the ids of all unified rows of these keys, and the record hashes of those that were live.
    """
    row = await connection.fetchrow(
        _LEAVE_OUT, stamp.source_id, stamp.run_id, stamp.pass_id, stamp.mapping_version, keys, at
    )
    assert row is not None
    require_rows("update of unified_data", row["left_out"], len(row["known_hashes"]))
    return row["seen"], row["known_hashes"]
