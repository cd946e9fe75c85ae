"""How each source stands at this moment: what `kasparro status --watch` looks at again and again, at the same low cost.

One row of progress for each run at work; nothing here reads records, payloads or rejects.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kasparro.core.database import Connection
from kasparro.services import metrics, runs, workers
from kasparro.services.health import SourceStatus, read_source_statuses
from kasparro.services.liveness import dead_runs

_AT_WORK = """
select s.name, r.id, r.started_at, coalesce(done.fetched, 0)::bigint as fetched,
       extract(epoch from clock_timestamp() - r.started_at)::double precision as seconds
from etl_runs r join sources s on s.id = r.source_id left join lateral (
    select sum(fetched) as fetched from etl_run_batches where run_id = r.id) done on true
where r.finished_at is null and r.state = 'running' and r.id <> all($1::bigint[])
order by r.id
"""
_DRIFT = """
select s.name, count(*) as open from schema_drift_events d join sources s on s.id = d.source_id
where d.state = 'open' group by s.name
"""


@dataclass(frozen=True, slots=True)
class AtWork:
    """A run at work: what it has committed so far, and since when it runs."""

    id: int
    fetched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A source: its status, its run at work if there is one, what is open, and what its next run depends on.

    `begun_at` None: no run has begun, or the last one was broken off, so that the next one is due at once.
    """

    status: SourceStatus
    at_work: AtWork | None
    rejects_open: int
    drift_open: int
    begun_at: datetime | None
    failures: int
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Live:
    """All sources by name, and how many schedulers have asked for work within the last minute."""

    sources: tuple[LiveSource, ...]
    workers: int


async def read_live(connection: Connection) -> Live:
    """How everything stands now. The schema must be current; outside of a transaction (see liveness.py)."""
    dead = await dead_runs(connection)
    rows = await connection.fetch(_AT_WORK, list(dead.ids))
    at_work = {row["name"]: AtWork(row["id"], row["fetched"], row["seconds"]) for row in rows}
    drift = {row["name"]: int(row["open"]) for row in await connection.fetch(_DRIFT)}
    rejects: dict[str, int] = {}
    for counter in await metrics.open_rejects(connection):
        rejects[counter.source] = rejects.get(counter.source, 0) + int(counter.value)
    known: dict[str, Any] = {"at_work": at_work, "drift": drift, "rejects": rejects}
    sources = [await _live(connection, status, known) for status in await read_source_statuses(connection)]
    return Live(tuple(sources), len(await workers.alive(connection)))


async def _live(connection: Connection, status: SourceStatus, known: dict[str, Any]) -> LiveSource:
    begun_at, failures = await runs.history(connection, status.name)
    return LiveSource(
        status,
        known["at_work"].get(status.name),
        known["rejects"].get(status.name, 0),
        known["drift"].get(status.name, 0),
        begun_at,
        failures,
        await runs.held_until(connection, status.name),
    )
