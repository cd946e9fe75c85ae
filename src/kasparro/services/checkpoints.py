"""Where each lane of each partition resumes. Only a lane's own transaction and the claim move a lane's row."""

import json
from dataclasses import dataclass
from typing import Any

from kasparro.core.database import Connection
from kasparro.core.errors import FencedError
from kasparro.schemas.batches import LaneBatch, LaneState, RunStamp
from kasparro.services.loading import affected, require_rows

PARTITION_LANE = -1
"""The lane of a partition's own row: what its last complete pass left behind."""
READING = ""
"""The scope of readings of a source; each operation has another."""

_SELECT = """
select partition, lane, pass_id, run_id, seq, ordinal, cursor, coverage
from etl_checkpoints where source_id = $1::integer and scope = $2::text order by partition, lane
"""
_LOCK = """
select partition, lane, pass_id, run_id, seq, ordinal, cursor, coverage, scope = $2::text as of_scope
from etl_checkpoints where source_id = $1::integer order by partition, lane for update
"""
_RELEASE = """
update etl_checkpoints set seq = seq + 1, updated_at = now()
where source_id = $1::integer and run_id = $2::bigint and lane >= 0
"""
_FENCE = """
select 1 from etl_checkpoints
where source_id = $1::integer and scope = $6::text and partition = $2::text and lane = $3::smallint
  and run_id = $4::bigint and seq = $5::bigint
for update
"""
_ADVANCE = """
update etl_checkpoints
set seq = seq + 1, ordinal = $4::bigint, cursor = $5::jsonb, updated_at = now()
where source_id = $1::integer and scope = $6::text and partition = $2::text and lane = $3::smallint
"""
_LANES = """
select lane, run_id, seq, ordinal from etl_checkpoints
where source_id = $1::integer and scope = $3::text and partition = $2::text and lane >= 0 order by lane for update
"""
_DELETE_LANES = "delete from etl_checkpoints where source_id = $1::integer and scope = $2::text and lane >= 0"
_BEGIN = """
insert into etl_checkpoints (source_id, partition, lane, pass_id, run_id, scope)
select $1::integer, partition, lane, $2::bigint, $3::bigint, $6::text
from unnest($4::text[]) as partition, generate_series(0, $5::integer - 1) as lane
"""
_TAKE_OVER = """
update etl_checkpoints set run_id = $3::bigint, seq = seq + 1, updated_at = now()
where source_id = $1::integer and scope = $4::text and pass_id = $2::bigint and lane >= 0
"""
_DELETE = """
delete from etl_checkpoints
where source_id = $1::integer and scope = '' and ($2::text is null or partition = $2::text)
"""
_FORGET = """
delete from etl_checkpoints where source_id = $1::integer and scope = '' and lane = -1 and partition = any($2::text[])
"""
_END_SCOPE = "delete from etl_checkpoints where source_id = $1::integer and scope = $2::text"
_END_OTHERS = """
delete from etl_checkpoints where source_id = $1::integer and starts_with(scope, $2::text) and scope <> $3::text
"""
_END = """
delete from etl_checkpoints
where source_id = $1::integer and scope = $4::text and partition = $2::text and lane >= 0 and run_id = $3::bigint
"""
_SETTLE = """
insert into etl_checkpoints (source_id, partition, lane, pass_id, run_id, cursor, coverage)
values ($1::integer, $2::text, -1, $3::bigint, $4::bigint, $5::jsonb, $6::text)
on conflict (source_id, scope, partition, lane) do update
set pass_id = excluded.pass_id, run_id = excluded.run_id, cursor = excluded.cursor, coverage = excluded.coverage,
    seq = etl_checkpoints.seq + 1, updated_at = now()
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One row: a lane's position, or (lane -1) what stands for the last complete pass."""

    partition: str
    lane: int
    pass_id: int
    run_id: int
    seq: int
    ordinal: int
    cursor: dict[str, Any] | None
    coverage: str | None

    @classmethod
    def settled(
        cls, partition: str, *, pass_id: int, run_id: int, state: dict[str, Any], coverage: str
    ) -> "Checkpoint":
        """The row of lane -1 after a complete pass."""
        return cls(partition, PARTITION_LANE, pass_id, run_id, 0, 0, state, coverage)


async def all_of(connection: Connection, source_id: int) -> list[Checkpoint]:
    """All rows of a source's readings, by partition and lane."""
    return [_checkpoint(row) for row in await connection.fetch(_SELECT, source_id, READING)]


async def lock_all(connection: Connection, source_id: int, scope: str = READING) -> list[Checkpoint]:
    """The rows of a scope. Those of all scopes are locked until the transaction ends: batches in hand are waited for,
    so that none commits unseen.
    """
    rows = [(row["of_scope"], row) for row in await connection.fetch(_LOCK, source_id, scope)]
    return [_checkpoint(row) for of_scope, row in rows if of_scope]


async def release(connection: Connection, *, source_id: int, run_id: int) -> None:
    """Fence the run's own lanes, so that none of its batches can commit any more. Waits for a batch in hand."""
    await connection.execute(_RELEASE, source_id, run_id)


async def fence(connection: Connection, stamp: RunStamp, partition: str, state: LaneState) -> None:
    """Lock the lane's row for this transaction. Raises FencedError when another run has claimed the pass."""
    found = await connection.fetchval(
        _FENCE, stamp.source_id, partition, state.lane, stamp.run_id, state.seq, stamp.scope
    )
    if found is None:
        raise FencedError(f"{partition}, lane {state.lane}: run {stamp.run_id} has lost its claim")


async def advance(connection: Connection, stamp: RunStamp, batch: LaneBatch) -> None:
    """Move the lane to the batch's position; in the transaction that wrote the data, after `fence`."""
    status = await connection.execute(
        _ADVANCE, stamp.source_id, batch.partition, batch.lane, batch.ordinal, _text(batch.cursor), stamp.scope
    )
    require_rows("update of etl_checkpoints", affected(status), 1)


async def begin_pass(connection: Connection, stamp: RunStamp, *, partitions: list[str], lanes: int) -> None:
    """Replace the lane rows of all older passes of the scope by fresh ones at ordinal 0. Waits for a batch in hand."""
    await connection.execute(_DELETE_LANES, stamp.source_id, stamp.scope)
    await connection.execute(_BEGIN, stamp.source_id, stamp.pass_id, stamp.run_id, partitions, lanes, stamp.scope)


async def end_scope(connection: Connection, stamp: RunStamp) -> None:
    """Remove the rows of an operation that is done; in its final transaction."""
    await connection.execute(_END_SCOPE, stamp.source_id, stamp.scope)


async def end_others(connection: Connection, source_id: int, *, prefix: str, scope: str) -> None:
    """Remove what dead operations of one kind have left behind, but for one scope; in a claim's transaction."""
    await connection.execute(_END_OTHERS, source_id, prefix, scope)


async def forget(connection: Connection, source_id: int, partitions: list[str]) -> None:
    """Remove what complete passes left behind for partitions that are there no more."""
    await connection.execute(_FORGET, source_id, partitions)


async def delete(connection: Connection, source_id: int, partition: str | None) -> None:
    """Remove the rows of a source's readings, or of those of one of its partitions."""
    await connection.execute(_DELETE, source_id, partition)


async def take_over(connection: Connection, stamp: RunStamp, *, expected: int) -> None:
    """Claim every lane row of an open pass. Waits for a batch in hand; afterwards its writer is fenced."""
    status = await connection.execute(_TAKE_OVER, stamp.source_id, stamp.pass_id, stamp.run_id, stamp.scope)
    require_rows("claim of etl_checkpoints", affected(status), expected)


async def require_lanes(connection: Connection, stamp: RunStamp, partition: str, lanes: list[LaneState]) -> None:
    """Lock a partition's lane rows and raise FencedError unless each stands where its writer left it."""
    rows = await connection.fetch(_LANES, stamp.source_id, partition, stamp.scope)
    found = [(row["lane"], row["run_id"], row["seq"], row["ordinal"]) for row in rows]
    if found != [(state.lane, stamp.run_id, state.seq, state.ordinal) for state in lanes]:
        raise FencedError(f"{partition}: lanes stand at {found}, not where run {stamp.run_id} left them")


async def end_failed(connection: Connection, stamp: RunStamp, partition: str, *, lanes: int) -> None:
    """Take a partition out of the open pass; what its last complete pass left behind stays. Raises FencedError."""
    ended = affected(await connection.execute(_END, stamp.source_id, partition, stamp.run_id, stamp.scope))
    if ended != lanes:
        raise FencedError(f"{partition}: run {stamp.run_id} has lost its claim on {lanes - ended} of {lanes} lanes")


async def settle(connection: Connection, settled: Checkpoint, source_id: int) -> None:
    """Write what a complete pass over a partition leaves behind; in the final transaction."""
    cursor = _text(settled.cursor)
    await connection.execute(
        _SETTLE, source_id, settled.partition, settled.pass_id, settled.run_id, cursor, settled.coverage
    )


def _checkpoint(row: Any) -> Checkpoint:
    columns: dict[str, Any] = dict(row)
    columns.pop("of_scope", None)
    cursor = columns.pop("cursor")
    return Checkpoint(**columns, cursor=None if cursor is None else json.loads(cursor))


def _text(cursor: dict[str, Any] | None) -> str | None:
    return None if cursor is None else json.dumps(cursor, ensure_ascii=False)
