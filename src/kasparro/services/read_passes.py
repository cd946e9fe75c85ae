"""Readings (passes) as they are compared: all runs that carried one, and what they came to together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.schemas.counters import Counters
from kasparro.services import batches
from kasparro.services.runs import BROKEN_OFF

_RUNS: Final = """
select id, state, plan, started_at, finished_at, coverage, last_raw_id, gone, batches,
       (select max(committed_at) from etl_run_batches b where b.run_id = r.id) as last_commit
from etl_runs r where source_id = $1::integer and pass_id = $2::bigint order by started_at, id
"""
_NAMELESS: Final = """
select locator from rejected_records
where source_id = $1::integer and record_key is null
  and first_seen_at <= $3::timestamptz and last_seen_at >= $2::timestamptz
order by id limit 1
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One pass. `coverage`: how much of each partition that it set out to read it has read, None of those that it has
    not finished; empty for operations. Sums are over its runs, those that died included.

    `last_raw_id` is the last raw row that there was when it ended; None while a run of it is not closed, or where that
    was not kept yet.
    """

    source_id: int
    pass_id: int
    operation: str | None
    run_ids: tuple[int, ...]
    is_closed: bool
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float | None
    counters: Counters
    batches: int
    gone: int
    size_bytes: int
    last_raw_id: int | None
    coverage: dict[str, str | None] = field(default_factory=dict[str, str | None])
    stage_seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def is_full(self) -> bool:
        """Whether it has read every record that the source had."""
        return bool(self.coverage) and set(self.coverage.values()) == {"full"}

    @property
    def is_idle(self) -> bool:
        """Whether it came to its end and has seen nothing, for the source was as it was or had nothing new."""
        is_done = self.is_closed and bool(self.coverage) and set(self.coverage.values()) <= {"none", "window"}
        return is_done and self.counters.fetched == 0


async def of_run(connection: Connection, run: dict[str, Any]) -> Reading:
    """The reading that a run carried, which has begun."""
    rows = await connection.fetch(_RUNS, run["source_id"], run["pass_id"])
    ended = [row["finished_at"] for row in rows if row["finished_at"] is not None]
    marks = [row["last_raw_id"] for row in rows]
    is_closed = len(ended) == len(rows)
    counters, count, size_bytes, stages = await _sums(connection, rows)
    return Reading(
        source_id=run["source_id"],
        pass_id=run["pass_id"],
        operation=run["operation"],
        run_ids=tuple(row["id"] for row in rows),
        is_closed=is_closed,
        started_at=rows[0]["started_at"],
        finished_at=max(ended) if is_closed else None,
        duration_seconds=_seconds(rows) if is_closed else None,
        counters=counters,
        batches=count,
        gone=sum(row["gone"] for row in rows),
        size_bytes=size_bytes,
        last_raw_id=None if None in marks else max(marks),
        coverage=_coverage(rows) if run["operation"] is None else {},
        stage_seconds=stages,
    )


async def nameless_reject(connection: Connection, reading: Reading) -> str | None:
    """Where a record stands that may have been rejected in this reading, and whose key cannot be told."""
    locator: str | None = await connection.fetchval(
        _NAMELESS, reading.source_id, reading.started_at, reading.finished_at
    )
    return locator


async def _sums(connection: Connection, rows: Sequence[Any]) -> tuple[Counters, int, int, dict[str, float]]:
    """Over the runs. Of one that has ended it knows itself how many batches it had: retention folds them."""
    total, count, size_bytes = Counters(), 0, 0
    stages: dict[str, float] = {}
    for row in rows:
        counters, own_batches, _ = await batches.sums(connection, row["id"])
        own_bytes, own_stages = await batches.effort(connection, row["id"])
        count += own_batches if row["finished_at"] is None else row["batches"]
        total, size_bytes = total + counters, size_bytes + own_bytes
        for name, seconds in own_stages.items():
            stages[name] = stages.get(name, 0.0) + seconds
    return total, count, size_bytes, stages


def _seconds(rows: Sequence[Any]) -> float:
    """Over its runs; of one that died up to its last batch, for it was closed whenever its successor came."""
    ends = [
        row["last_commit"] or row["started_at"] if row["state"] in BROKEN_OFF else row["finished_at"] for row in rows
    ]
    return sum(max(0.0, (end - row["started_at"]).total_seconds()) for row, end in zip(rows, ends, strict=True))


def _coverage(rows: Sequence[Any]) -> dict[str, str | None]:
    """By partition. The runs of a pass close one after another, each knowing what those before it have finished."""
    found: dict[str, str | None] = {}
    for row in rows:
        found |= {name: None for name in json.loads(row["plan"] or "{}").get("partitions", ()) if name not in found}
        found |= json.loads(row["coverage"] or "{}")
    return found
