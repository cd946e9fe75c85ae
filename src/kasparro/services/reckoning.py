"""What all runs of a source together came to: the facts that no interruption may change."""

import json
from dataclasses import dataclass
from typing import Any

from kasparro.core.database import Connection
from kasparro.services import digest

_SUMS = """
select count(*) as runs, count(distinct r.pass_id) as passes,
       count(*) filter (where r.finished_at is null) as unfinished,
       count(*) filter (where r.state in ('succeeded', 'partial')) as completed,
       coalesce(sum(r.fetched), 0) as fetched, coalesce(sum(r.inserted), 0) as inserted,
       coalesce(sum(r.updated), 0) as updated, coalesce(sum(r.unchanged), 0) as unchanged,
       coalesce(sum(r.duplicate), 0) as duplicate, coalesce(sum(r.batches), 0) as batches,
       (select count(*) from rejected_records where source_id = $1::integer) as distinct_rejects
from etl_runs r where r.source_id = $1::integer
"""
_SETTLED = """
select partition, cursor from etl_checkpoints where source_id = $1::integer and lane = -1 order by partition
"""
_PACE = """
select extract(epoch from min(b.committed_at) - min(r.started_at))::double precision as first_commit,
       extract(epoch from max(b.committed_at) - min(r.started_at))::double precision as last_commit,
       extract(epoch from max(r.finished_at) - min(r.started_at))::double precision as finished, count(*) as commits
from etl_runs r join etl_run_batches b on b.run_id = r.id where r.source_id = $1::integer
"""
_COMMITTED = """
select coalesce(sum(b.fetched), 0)::bigint from etl_run_batches b join etl_runs r on r.id = b.run_id
where r.source_id = $1::integer
"""


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Sums over the runs of one source. `settled`: what complete passes left behind, by partition."""

    runs: int
    passes: int
    unfinished: int
    completed: int
    batches: int
    fetched: int
    inserted: int
    updated: int
    unchanged: int
    duplicate: int
    distinct_rejects: int
    digest: str
    recomputed: str
    settled: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from the beginning of an uninterrupted run to its first commit, its last, its end; how many it had."""

    first_commit: float
    last_commit: float
    finished: float
    commits: int


async def reckon(connection: Connection, source_id: int) -> Reckoning:
    """The sums, and the digest as it is kept and as the records have it."""
    row = await connection.fetchrow(_SUMS, source_id)
    assert row is not None
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        kept, recomputed = await digest.now(connection, source_id), await digest.recompute(connection, source_id)
    settled = {each["partition"]: json.loads(each["cursor"]) for each in await connection.fetch(_SETTLED, source_id)}
    sums: dict[str, int] = {name: int(value) for name, value in row.items()}
    return Reckoning(**sums, digest=digest.as_text(kept), recomputed=digest.as_text(recomputed), settled=settled)


async def pace(connection: Connection, source_id: int) -> Pace | None:
    """How a run that nothing interrupted went; None when it had no batch."""
    row = await connection.fetchrow(_PACE, source_id)
    assert row is not None
    return None if row["first_commit"] is None else Pace(**row)


async def committed(connection: Connection, source_id: int) -> int:
    """Records in committed batches, those of runs included that never closed."""
    return int(await connection.fetchval(_COMMITTED, source_id))
