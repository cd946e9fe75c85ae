"""The stage: a lane's batch in temporary tables, and the database's verdict on each staged row.

Rows are judged as if they came one at a time (`docs/architecture.md`, "What is counted"), so that neither the size of
batches nor the place where a resume began shows in any counter.
"""

from dataclasses import dataclass
from io import BytesIO

from kasparro.core.database import Connection
from kasparro.schemas.batches import STAGE_SCHEMA, RunStamp

STAGE_COLUMNS = tuple(STAGE_SCHEMA.names)

_CREATE = """
create temporary table if not exists stage (
    ordinal bigint primary key, reject boolean not null, record_key text, payload jsonb not null,
    content_hash bytea not null, locator text not null, record_hash bytea,
    title text, body text, url text, author text, category text, tags text[], value text, unit text,
    occurred_at timestamptz, entity_key text, attributes jsonb
) on commit delete rows;
create temporary table if not exists verdict (
    ordinal bigint primary key, outcome text not null, unified_id bigint, raw_id bigint, prev_raw_id bigint,
    current_raw_id bigint, known_record_hash bytea, payload_differs boolean not null, writes_unified boolean not null
) on commit delete rows;
"""

_CLASSIFY = """
with known as materialized (
    select s.ordinal, s.reject, s.record_key, s.content_hash,
           u.id as unified_id, u.raw_id as known_raw_id, u.content_hash as known_content_hash,
           case when u.deleted_at is null then u.record_hash end as known_record_hash,
           u.pass_id is not distinct from $2::bigint as this_pass,
           not s.reject and (u.id is null or u.deleted_at is not null or u.content_hash <> s.content_hash
                             or u.mapping_version <> $3::integer) as differs
    from stage s left join lateral (
        select * from unified_data where source_id = $1::integer and record_key = s.record_key limit 1) u on true
), ranked as (
    select known.*,
           min(ordinal) filter (where differs) over (partition by record_key, reject) as first_differing,
           max(ordinal) over (partition by record_key, reject) as last_ordinal,
           coalesce(lag(content_hash) over (partition by record_key, reject order by ordinal), known_content_hash)
               as previous_content_hash
    from known
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
           bool_or(not reject and (outcome in ('inserted', 'updated') or (outcome = 'duplicate' and payload_differs)))
               over (partition by record_key, reject) as touched
    from numbered
    window earlier as (
        partition by record_key order by ordinal rows between unbounded preceding and 1 preceding
    )
)
insert into verdict
select ordinal, outcome, unified_id, raw_id, coalesce(earlier_raw_id, known_raw_id),
       coalesce(case when not reject then raw_id end, earlier_raw_id, known_raw_id),
       known_record_hash, payload_differs, touched and ordinal = last_ordinal
from chained
"""

_TALLY = """
select count(*) filter (where outcome = 'inserted') as inserted,
       count(*) filter (where outcome = 'updated') as updated,
       count(*) filter (where outcome = 'updated' and payload_differs) as updated_payload,
       count(*) filter (where outcome = 'unchanged') as unchanged,
       count(*) filter (where outcome = 'duplicate') as duplicate,
       count(*) filter (where outcome = 'duplicate' and payload_differs) as duplicate_payload,
       count(*) filter (where outcome = 'rejected' and payload_differs) as rejected_new,
       coalesce(array_agg(distinct unified_id) filter (where unified_id is not null), '{}') as seen,
       coalesce(array_agg(ordinal order by ordinal) filter (where writes_unified), '{}') as touched_ordinals,
       coalesce(array_agg(known_record_hash order by ordinal) filter (where writes_unified), '{}') as known_hashes,
       count(*) filter (where writes_unified and unified_id is null) as new_records
from verdict
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """The database's count of a staged batch, and what is to be written."""

    inserted: int
    updated: int
    updated_payload: int
    unchanged: int
    duplicate: int
    duplicate_payload: int
    rejected_new: int
    seen: list[int]
    """Ids of unified rows that existed before the batch and that it names."""
    touched_ordinals: list[int]
    """Of each key to be written: the ordinal of its last row, ascending."""
    known_hashes: list[bytes | None]
    """The record hash that each touched key had; None where there was no live row."""
    new_records: int

    @property
    def raw_rows(self) -> int:
        """How many raw rows the verdict asks for."""
        return self.inserted + self.updated_payload + self.duplicate_payload + self.rejected_new

    @property
    def changed_records(self) -> int:
        """How many existing unified rows the verdict asks to write."""
        return len(self.touched_ordinals) - self.new_records


NOTHING = Tally(0, 0, 0, 0, 0, 0, 0, [], [], [], 0)
"""Of a batch without staged rows."""


async def stage(connection: Connection, encoded: bytes) -> None:
    """COPY a batch's rows, in binary COPY format, into the stage of this connection; in the batch's transaction."""
    await connection.execute(_CREATE)
    await connection.copy_to_table("stage", source=BytesIO(encoded), columns=STAGE_COLUMNS, format="binary")


async def classify(connection: Connection, stamp: RunStamp) -> Tally:
    """Judge the staged rows against the source's current state: one look into the key's index for each row.

    The look is a lateral sub-select with a limit, which the planner cannot turn into another join. It knows nothing of
    a fresh temporary table, and its statistics may not know the source yet: left to choose, it would read all of
    unified, or all of the source's records once for each row.
    """
    await connection.execute("set local enable_seqscan = off")
    await connection.execute(_CLASSIFY, stamp.source_id, stamp.pass_id, stamp.mapping_version)
    await connection.execute("set local enable_seqscan = on")
    row = await connection.fetchrow(_TALLY)
    assert row is not None
    return Tally(**dict(row))
