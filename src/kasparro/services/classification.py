"""The database's verdict on each row of a batch, judged as if rows came one at a time.

So neither the size of batches nor the place where a resume began shows in any counter (`docs/architecture.md`, "What is
counted"). Only keys and hashes go to the server: rows that are written follow once it is known which.
"""

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services import versions
from kasparro.services.verdict import RawRows, Tally, UnifiedRows, Verdict

_CLASSIFY = """
with known as materialized (
    select s.position, s.ordinal, s.position > $7::bigint as reject, s.record_key, s.content_hash,
           u.id as unified_id, u.raw_id as known_raw_id, u.content_hash as known_content_hash,
           case when u.deleted_at is null then u.record_hash end as known_record_hash,
           u.pass_id is not distinct from $2::bigint and u.deleted_at is null as this_pass,
           s.position <= $7 and (u.id is null or u.deleted_at is not null or u.content_hash <> s.content_hash
                                 or u.mapping_version <> $3::integer) as differs
    from unnest($4::bigint[], $5::text[], $6::bytea[]) with ordinality
             as s(ordinal, record_key, content_hash, position)
         left join lateral (
             select id, raw_id, content_hash, record_hash, deleted_at, pass_id, mapping_version
             from unified_data where source_id = $1::integer and record_key = s.record_key limit 1) u on true
), ranked as (
    select known.*,
           min(ordinal) filter (where differs) over (partition by record_key, reject) as first_differing,
           max(ordinal) over (partition by record_key, reject) as last_ordinal,
           coalesce(lag(content_hash) over (partition by record_key, reject order by ordinal), known_content_hash)
               as previous_content_hash
    from known
    where differs or this_pass or reject or $8::boolean
), judged as (
    select ranked.*,
           case when reject then 'rejected'
                when this_pass then 'duplicate'
                when first_differing is null or ordinal < first_differing then 'unchanged'
                when ordinal > first_differing then 'duplicate'
                when unified_id is null then 'inserted'
                else 'updated' end as outcome,
           case when reject then not exists (
                    select from rejected_records r
                    where r.source_id = $1 and r.content_hash = ranked.content_hash offset 0)
                else content_hash is distinct from previous_content_hash end as payload_differs
    from ranked
), numbered as materialized (
    select sorted.*, case when payload_differs then nextval('raw_id_seq') end as raw_id
    from (select * from judged order by record_key, ordinal) sorted
), chained as (
    select numbered.*,
           max(raw_id) filter (where not reject) over earlier as earlier_raw_id,
           ordinal = last_ordinal
           and bool_or(not reject and (outcome in ('inserted', 'updated') or outcome = 'duplicate' and payload_differs))
               over (partition by record_key, reject) as writes_unified
    from numbered
    window earlier as (
        partition by record_key order by ordinal rows between unbounded preceding and 1 preceding
    )
), settled as materialized (
    select sorted.position - 1 as position, outcome, payload_differs, raw_id, unified_id, known_record_hash,
           coalesce(earlier_raw_id, known_raw_id) as prev_raw_id,
           coalesce(raw_id, earlier_raw_id, known_raw_id) as current_raw_id,
           writes_unified and unified_id is not null as changed,
           case when writes_unified and unified_id is null then nextval('unified_data_id_seq') end as new_id
    from (select * from chained order by position) sorted
)
select count(*) filter (where outcome = 'inserted') as inserted,
       count(*) filter (where outcome = 'updated') as updated,
       count(*) filter (where outcome = 'updated' and payload_differs) as updated_payload,
       (select count(*) from known) - count(*) filter (where outcome <> 'unchanged') as unchanged,
       count(*) filter (where outcome = 'duplicate') as duplicate,
       count(*) filter (where outcome = 'duplicate' and payload_differs) as duplicate_payload,
       count(*) filter (where outcome = 'rejected' and payload_differs) as rejected_new,
       array(select unified_id from known where unified_id is not null) as seen,
       coalesce(array_agg(position order by raw_id) filter (where raw_id is not null), '{}') as raw_positions,
       coalesce(array_agg(raw_id order by raw_id) filter (where raw_id is not null), '{}') as raw_ids,
       coalesce(array_agg(prev_raw_id order by raw_id) filter (where raw_id is not null), '{}') as previous,
       coalesce(array_agg(position order by new_id) filter (where new_id is not null), '{}') as new_positions,
       coalesce(array_agg(new_id order by new_id) filter (where new_id is not null), '{}') as new_ids,
       coalesce(array_agg(current_raw_id order by new_id) filter (where new_id is not null), '{}') as new_raw_ids,
       coalesce(array_agg(position order by position) filter (where changed), '{}') as changed_positions,
       coalesce(array_agg(unified_id order by position) filter (where changed), '{}') as changed_ids,
       coalesce(array_agg(current_raw_id order by position) filter (where changed), '{}') as changed_raw_ids,
       coalesce(array_agg(known_record_hash) filter (where changed and known_record_hash is not null), '{}')
           as known_hashes
from settled
"""


async def classify(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> Verdict:
    """Judge the batch's rows against the source's current state; those with a lower version than that are unchanged."""
    contest = await versions.contest(connection, batch, stamp)
    if contest is None:
        return await judge(connection, batch, stamp)
    return contest.verdict(await judge(connection, contest.left, stamp))


async def judge(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> Verdict:
    """The same whatever their versions: one look into the key's index for each row.

    The look is a lateral sub-select with a limit, which the planner cannot turn into another join. It knows nothing of
    the batch, and its statistics may not know the source yet: left to choose, it would read all of unified, or all of
    the source's records once for each row. Rows that are as they were are done with after it, unless keys repeat.
    """
    row = await connection.fetchrow(
        _CLASSIFY, stamp.source_id, stamp.pass_id, stamp.mapping_version,
        batch.ordinals(), batch.keys(), batch.content_hashes(), batch.accepted, batch.repeats_keys(),
    )  # fmt: skip
    assert row is not None
    found = dict(row)
    tally = Tally(**{name: found[name] for name in Tally.__dataclass_fields__})
    return Verdict(
        tally=tally,
        seen=found["seen"],
        raw=RawRows(found["raw_positions"], found["raw_ids"], found["previous"]),
        new=UnifiedRows(found["new_positions"], found["new_ids"], found["new_raw_ids"]),
        changed=UnifiedRows(found["changed_positions"], found["changed_ids"], found["changed_raw_ids"]),
        known_hashes=found["known_hashes"],
    )
