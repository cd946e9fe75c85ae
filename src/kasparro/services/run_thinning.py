"""What retention does to the batches of runs that have ended long ago: one row of sums stays for each partition."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from kasparro.core.canonical import DIGEST_MODULUS
from kasparro.core.database import Connection
from kasparro.services.checkpoints import PARTITION_LANE

RUNS_AT_ONCE: Final = 200
"""Of a transaction: short ones hold nothing up, and let autovacuum follow."""
_OLD: Final = """
select r.id from etl_runs r
where r.source_id = $1::integer and r.finished_at < $2::timestamptz
  and not exists (
      select from etl_checkpoints c where c.source_id = $1::integer and c.lane >= 0 and c.pass_id = r.pass_id)
  and exists (select from etl_run_batches b where b.run_id = r.id and b.lane >= 0)
"""
"""Ended, and of no pass that has lanes: one that is open, or whose `seen` may still be asked for."""
_SIZE: Final = "(160 + coalesce(pg_column_size(b.seen), 0) + coalesce(pg_column_size(b.stage_seconds), 0))"
_COUNT: Final = f"""
select count(distinct b.run_id) as runs, count(*) as batches, coalesce(sum({_SIZE}), 0)::bigint as size_bytes
from etl_run_batches b where b.lane >= 0 and b.run_id in ({_OLD})
"""  # noqa: S608
_FOLD: Final = f"""
with old as materialized ({_OLD} order by r.id limit $3::integer),
gone as (
    delete from etl_run_batches b using old where b.run_id = old.id and b.lane >= 0
    returning b.*, {_SIZE} as row_bytes
), spent as (
    select run_id, partition, jsonb_object_agg(name, seconds) as stage_seconds
    from (select run_id, partition, stage.key as name, sum(stage.value::double precision) as seconds
          from gone cross join jsonb_each_text(gone.stage_seconds) as stage group by 1, 2, 3) stages
    group by 1, 2
), folded as (
    insert into etl_run_batches (
        run_id, partition, lane, seq, ordinal, fetched, inserted, updated, updated_payload, unchanged, duplicate,
        duplicate_payload, rejected, rejected_new, filtered, deleted, raw_written, size_bytes, stage_seconds,
        digest_delta, committed_at)
    select run_id, partition, {PARTITION_LANE}, 0, max(ordinal), sum(fetched), sum(inserted), sum(updated),
           sum(updated_payload), sum(unchanged), sum(duplicate), sum(duplicate_payload), sum(rejected),
           sum(rejected_new), sum(filtered), sum(deleted), sum(raw_written), sum(size_bytes),
           (select s.stage_seconds from spent s where s.run_id = gone.run_id and s.partition = gone.partition),
           mod(sum(digest_delta), $4::numeric), max(committed_at)
    from gone group by run_id, partition
)
select count(distinct run_id) as runs, count(*) as batches, coalesce(sum(row_bytes), 0)::bigint as size_bytes from gone
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Thinned:
    """Of how many runs, how many batches, and about how many bytes."""

    runs: int = 0
    batches: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Thinned") -> "Thinned":
        return Thinned(self.runs + other.runs, self.batches + other.batches, self.size_bytes + other.size_bytes)


async def foldable(connection: Connection, source_id: int, before: datetime) -> Thinned:
    """What `fold` would fold of the source's runs that ended before this moment."""
    row = await connection.fetchrow(_COUNT, source_id, before)
    assert row is not None
    return Thinned(**dict(row))


async def fold(connection: Connection, source_id: int, before: datetime) -> Thinned:
    """Fold the batches of the oldest such runs, `RUNS_AT_ONCE` of them, into one row each for a run's partition.

    Its lane is -1, it has seen nothing, and all sums over the run stay as they were. One process at a time.
    """
    row = await connection.fetchrow(_FOLD, source_id, before, RUNS_AT_ONCE, Decimal(DIGEST_MODULUS))
    assert row is not None
    return Thinned(**dict(row))
