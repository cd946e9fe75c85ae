"""What `/health` and `kasparro status` say: the schema's revision, each source's last run, and how fresh it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from kasparro.core.database import Connection
from kasparro.services.freshness import Freshness, freshness, stale_after_seconds
from kasparro.services.liveness import dead_runs
from kasparro.services.migrations import current_revision, head, is_newer, revisions

_LAST_RUNS: Final = """
    select s.name, s.type, s.last_success_at, s.created_at, s.circuit_state, s.interval_seconds, now() as looked_at,
           r.id, r.state, r.started_at, r.finished_at, r.error_code, r.error_message,
           r.inserted, r.updated, r.unchanged, r.rejected,
           coalesce(total.inserted, 0)::bigint as inserted_in_all, coalesce(total.updated, 0)::bigint as updated_in_all
    from sources s
    left join lateral (select * from etl_runs where source_id = s.id order by id desc limit 1) r on true
    left join lateral (
        select sum(value) filter (where label = 'inserted') as inserted,
               sum(value) filter (where label = 'updated') as updated
        from metric_counters where name = 'records_total' and source_id = s.id) total on true
    order by s.name
"""

SchemaState = Literal["current", "pending", "newer", "unknown"]


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The revision that the database has (None: no tables of ours) and the one that this code needs."""

    current: str | None
    needed: str

    @property
    def state(self) -> SchemaState:
        if self.current == self.needed:
            return "current"
        if self.current is None or self.current in revisions():
            return "pending"
        return "newer" if is_newer(self.current) else "unknown"


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The latest run of a source; counters are those of closed runs, else 0."""

    id: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error_message: str | None
    inserted: int
    updated: int
    unchanged: int
    rejected: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source that the database knows."""

    name: str
    type: Literal["api", "csv", "rss"]
    last_success_at: datetime | None
    last_run: LatestRun | None
    inserted_in_all: int
    """Over all closed runs."""
    updated_in_all: int
    circuit_state: str = "closed"
    freshness: Freshness = "unscheduled"
    age_seconds: float = 0.0
    """Since the last success; where there is none, since the source became known."""
    stale_after_seconds: float | None = None
    """The age from which on it is stale; None: no scheduler reads it."""


async def server_time(connection: Connection) -> datetime:
    """What the server's clock says now."""
    now: datetime = await connection.fetchval("select clock_timestamp()")
    return now


async def read_schema_status(connection: Connection) -> SchemaStatus:
    """Which revision the database is at."""
    return SchemaStatus(await current_revision(connection), head())


async def read_source_statuses(connection: Connection) -> list[SourceStatus]:
    """Every source with its latest run, by name. The schema must be current."""
    dead = await dead_runs(connection)
    return [_status(dead.as_seen(row)) for row in await connection.fetch(_LAST_RUNS)]


def _status(row: dict[str, Any]) -> SourceStatus:
    interval, now = row["interval_seconds"], row["looked_at"]
    return SourceStatus(
        row["name"],
        row["type"],
        row["last_success_at"],
        None if row["id"] is None else LatestRun(*(row[name] for name in LatestRun.__dataclass_fields__)),
        row["inserted_in_all"],
        row["updated_in_all"],
        circuit_state=row["circuit_state"],
        freshness=freshness(row["last_success_at"], row["created_at"], interval, now),
        age_seconds=max(0.0, (now - (row["last_success_at"] or row["created_at"])).total_seconds()),
        stale_after_seconds=None if interval is None else stale_after_seconds(interval),
    )
