"""Raw rows that were rejected, judged again: the verdict of a requeue.

The same rule as in `classification.py`, except that no raw row is written: a unified row takes the raw row that its
record stands in. Written is only what is newer than the unified row: a reject that is open under its key is, since
whatever loads under a key, or deletes it, settles its open rejects, those included that came before it in the same
batch. Of others the raw row tells. What a backfill has rejected is from the past, and lands only where its key has no
record (docs/decisions/0018-requeue-order.md).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services import versions
from kasparro.services.raw_rows import row_of_any
from kasparro.services.verdict import NO_RAW_ROWS, Tally, UnifiedRows, Verdict

_BY_BACKFILL: Final = f"""
exists (select from {row_of_any("s.raw_id")} found join etl_runs b on b.id = found.run_id
        where b.operation = 'backfill')
"""
_CLASSIFY: Final = """
with known as materialized (
    select s.position, s.ordinal, s.record_key, s.raw_id, u.id as unified_id,
           case when u.deleted_at is null then u.record_hash end as known_record_hash,
           u.pass_id is not distinct from $2::bigint as this_pass,
           case when u.id is null then true
                when waits.backfilled then u.pass_id = $2 and u.raw_id < s.raw_id
                when waits.seen_at is not null
                then u.deleted_at is null or u.deletion = 'replay' or u.deleted_at <= waits.seen_at
                else u.raw_id < s.raw_id
                     or u.raw_id = s.raw_id
                        and (u.mapping_version <> $3::integer or u.deletion = 'replay') end as differs
    from unnest($4::bigint[], $5::text[], $6::bigint[]) with ordinality
             as s(ordinal, record_key, raw_id, position)
         left join lateral (
             select id, raw_id, record_hash, deleted_at, deletion, pass_id, mapping_version
             from unified_data where source_id = $1::integer and record_key = s.record_key limit 1) u on true
         left join lateral (
             select max(r.last_seen_at) as seen_at,
                    bool_and(e.operation = 'backfill' or e.operation = 'requeue' and {by_backfill}) as backfilled
             from rejected_records r left join etl_runs e on e.id = r.run_id
             where r.source_id = $1 and r.state = 'open' and r.record_key = s.record_key and r.raw_id = s.raw_id
         ) waits on true
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
""".replace("{by_backfill}", _BY_BACKFILL)
_SUPERSEDE = """
update rejected_records set state = 'resolved', resolved_at = $4::timestamptz, resolution = 'superseded'
where id = any(array(
    select older.id
    from unnest($2::text[], $3::bigint[]) as judged(record_key, raw_id)
         cross join lateral (
             select last_seen_at, last_ordinal from rejected_records
             where source_id = $1::integer and state = 'open' and record_key = judged.record_key
               and raw_id = judged.raw_id
             order by last_seen_at desc, last_ordinal desc limit 1) own
         cross join lateral (
             select id from rejected_records
             where source_id = $1 and state = 'open' and record_key = judged.record_key and raw_id <> all($3)
               and (last_seen_at, last_ordinal, raw_id) < (own.last_seen_at, own.last_ordinal, judged.raw_id)
             offset 0) older))
"""


async def classify(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> tuple[Verdict, list[int]]:
    """The verdict on the accepted records of a batch with `stored`, and the raw ids of those that change nothing.

    These are also records with a lower version than what stands.
    """
    contest = await versions.contest(connection, batch, stamp)
    if contest is None or batch.stored is None:
        return await _judge(connection, batch, stamp)
    verdict, unchanged = await _judge(connection, contest.left, stamp)
    return contest.verdict(verdict), [*unchanged, *(batch.stored.raw_ids[position] for position in contest.lost)]


async def _judge(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> tuple[Verdict, list[int]]:
    assert batch.stored is not None
    accepted = batch.accepted
    row = await connection.fetchrow(
        _CLASSIFY, stamp.source_id, stamp.pass_id, stamp.mapping_version,
        batch.ordinals()[:accepted], batch.accepted_keys(), batch.stored.raw_ids[:accepted],
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


async def supersede(
    connection: Connection, source_id: int, keys: Sequence[str], raw_ids: Sequence[int], at: datetime
) -> None:
    """Resolve open rejects of keys that a requeue has loaded, if they were seen before what it loaded.

    Before the rejects of `raw_ids` are settled. Newer ones of the same keys stay open.
    """
    await connection.execute(_SUPERSEDE, source_id, keys, raw_ids, at)
