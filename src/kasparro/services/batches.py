"""Committed lane batches: their counters, digest deltas, and sums over a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch
from kasparro.schemas.counters import Counters

_INSERT = """
insert into etl_run_batches (
    run_id, partition, lane, seq, ordinal, size_bytes, stage_seconds, digest_delta, seen,
    fetched, inserted, updated, updated_payload, unchanged, duplicate, duplicate_payload, rejected, rejected_new,
    filtered, deleted, raw_written)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
"""

_SUMS = """
select count(*) as batches, coalesce(sum(fetched), 0) as fetched, coalesce(sum(inserted), 0) as inserted,
       coalesce(sum(updated), 0) as updated, coalesce(sum(updated_payload), 0) as updated_payload,
       coalesce(sum(unchanged), 0) as unchanged, coalesce(sum(duplicate), 0) as duplicate,
       coalesce(sum(duplicate_payload), 0) as duplicate_payload, coalesce(sum(rejected), 0) as rejected,
       coalesce(sum(rejected_new), 0) as rejected_new, coalesce(sum(filtered), 0) as filtered,
       coalesce(sum(deleted), 0) as deleted, coalesce(sum(raw_written), 0) as raw_written,
       coalesce(sum(digest_delta), 0) as digest_delta
from etl_run_batches where run_id = $1::bigint and ($2::text is null or partition = $2::text)
"""

_EFFORT = """
select coalesce((select sum(size_bytes) from etl_run_batches where run_id = $1::bigint), 0)::bigint as size_bytes,
       coalesce((
           select jsonb_object_agg(name, seconds)
           from (select stage.key as name, sum(stage.value::double precision) as seconds
                 from etl_run_batches b cross join jsonb_each_text(b.stage_seconds) as stage
                 where b.run_id = $1::bigint group by stage.key) as stages), '{}') as stage_seconds
"""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a lane batch: `digest_delta` is modulo 2**128, `seen` a serialized 64-bit roaring bitmap."""

    counters: Counters
    digest_delta: int
    seen: bytes
    stage_seconds: Mapping[str, float]


async def insert(connection: Connection, run_id: int, seq: int, batch: LaneBatch, result: BatchResult) -> None:
    """Record a lane batch; in its own transaction."""
    seconds = json.dumps({name: round(value, 6) for name, value in result.stage_seconds.items()})
    await connection.execute(
        _INSERT, run_id, batch.partition, batch.lane, seq, batch.ordinal, batch.size_bytes, seconds,
        Decimal(result.digest_delta), result.seen, *result.counters.as_dict().values(),
    )  # fmt: skip


async def sums(connection: Connection, run_id: int, partition: str | None = None) -> tuple[Counters, int, int]:
    """Counters, number of batches and digest delta over a run, or over its share of one partition."""
    row = await connection.fetchrow(_SUMS, run_id, partition)
    assert row is not None
    return Counters.from_row(row), int(row["batches"]), int(row["digest_delta"])


async def effort(connection: Connection, run_id: int) -> tuple[int, dict[str, float]]:
    """Bytes read and seconds spent in each stage, over all lanes of a run."""
    row = await connection.fetchrow(_EFFORT, run_id)
    assert row is not None
    seconds: dict[str, float] = json.loads(row["stage_seconds"])
    return int(row["size_bytes"]), {name: round(value, 6) for name, value in sorted(seconds.items())}
