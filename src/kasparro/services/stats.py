"""What `/stats` says: of each source, and of all of them. Counters from counter rows, the latest runs by index."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from kasparro.core.database import Connection
from kasparro.services import anomalies
from kasparro.services.anomalies import FoundAnomaly, Overdue
from kasparro.services.liveness import dead_runs
from kasparro.services.metrics import Counter, read_counters
from kasparro.services.runs import TIMED_STATES

LATEST_RUNS: Final = 100
"""So many of each source's runs are looked at for durations."""
OUTCOMES: Final = ("inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted")

_SOURCES = """
select s.name, s.type,
       success.id as success_id, success.finished_at as success_at,
       failure.id as failure_id, failure.finished_at as failure_at, failure.state as failure_state,
       failure.error_code as failure_code, failure.error_message as failure_reason,
       coalesce(open.queued, 0) as queued, coalesce(open.running, 0) as running
from sources s
left join lateral (
    select id, finished_at from etl_runs
    where source_id = s.id and s.last_success_at is not null and state in ('succeeded', 'partial')
    order by id desc limit 1) success on true
left join lateral (
    select id, finished_at, state, error_code, error_message from etl_runs
    where source_id = s.id and state in ('failed', 'systemic') order by id desc limit 1) failure on true
left join lateral (
    select count(*) filter (where state = 'queued') as queued,
           count(*) filter (where state = 'running' and id <> all($1::bigint[])) as running
    from etl_runs where source_id = s.id and finished_at is null) open on true
order by s.name
"""
_DURATIONS = """
select s.name, count(*) as runs, avg(r.seconds) as mean, max(r.seconds) as max,
       percentile_cont(0.5) within group (order by r.seconds) as p50,
       percentile_cont(0.95) within group (order by r.seconds) as p95,
       (array_agg(r.seconds order by r.finished_at desc, r.id desc))[1] as last
from sources s cross join lateral (
    select id, finished_at, extract(epoch from finished_at - started_at)::double precision as seconds
    from etl_runs
    where source_id = s.id and finished_at is not null and started_at is not null and state = any($1::text[])
    order by id desc limit $2::integer) r
group by grouping sets ((s.name), ())
"""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds that the latest runs took; all None where there was none."""

    runs: int = 0
    last: float | None = None
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """The latest run that succeeded."""

    run_id: int
    source: str
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """The latest run that failed, and why."""

    run_id: int
    source: str
    finished_at: datetime
    state: str
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one source, or of all. `runs` and `records` count runs that have ended, by state and by outcome."""

    runs: dict[str, int]
    records: dict[str, int]
    queued: int
    running: int
    durations: Durations
    last_success: Success | None
    last_failure: Failure | None


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """Of one source."""

    name: str
    type: Literal["api", "csv", "rss"]
    totals: Totals
    anomalies: tuple[FoundAnomaly, ...] = ()
    """What is unusual about its latest run that reached its end."""
    overdue: Overdue | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Of all sources, and of each."""

    all: Totals
    sources: list[SourceTotals] = field(default_factory=list[SourceTotals])


async def read_stats(connection: Connection) -> Stats:
    """The numbers as of now. The schema must be current."""
    dead = await dead_runs(connection)
    rows = await connection.fetch(_SOURCES, list(dead.ids))
    counters = await read_counters(connection)
    durations = {
        row["name"]: Durations(*(row[name] for name in Durations.__dataclass_fields__))
        for row in await connection.fetch(_DURATIONS, list(TIMED_STATES), LATEST_RUNS)
    }
    sources = [_of_source(row, counters, durations.get(row["name"], Durations())) for row in rows]
    sources = _with_anomalies(sources, await anomalies.current(connection), await anomalies.overdue(connection))
    return Stats(_of_all([source.totals for source in sources], durations.get(None, Durations())), sources)


def _of_source(row: Any, counters: tuple[Counter, ...], durations: Durations) -> SourceTotals:
    name: str = row["name"]
    own = [counter for counter in counters if counter.source == name]
    runs = {counter.label: int(counter.value) for counter in own if counter.name == "runs_total"}
    records = {counter.label: int(counter.value) for counter in own if counter.name == "records_total"}
    failure = tuple(row[f"failure_{part}"] for part in ("at", "state", "code", "reason"))
    totals = Totals(
        runs,
        {outcome: records.get(outcome, 0) for outcome in OUTCOMES},
        row["queued"],
        row["running"],
        durations,
        None if row["success_id"] is None else Success(row["success_id"], name, row["success_at"]),
        None if row["failure_id"] is None else Failure(row["failure_id"], name, *failure),
    )
    return SourceTotals(name, row["type"], totals)


def _with_anomalies(
    sources: list[SourceTotals], current: list[FoundAnomaly], overdue: list[Overdue]
) -> list[SourceTotals]:
    late = {each.source: each for each in overdue}
    return [
        replace(
            source,
            anomalies=tuple(each for each in current if each.source == source.name),
            overdue=late.get(source.name),
        )
        for source in sources
    ]


def _of_all(parts: list[Totals], durations: Durations) -> Totals:
    """Sums, and the latest success and failure of any source."""
    states = sorted({state for part in parts for state in part.runs})
    successes = [part.last_success for part in parts if part.last_success is not None]
    failures = [part.last_failure for part in parts if part.last_failure is not None]
    return Totals(
        {state: sum(part.runs.get(state, 0) for part in parts) for state in states},
        {outcome: sum(part.records[outcome] for part in parts) for outcome in OUTCOMES},
        sum(part.queued for part in parts),
        sum(part.running for part in parts),
        durations,
        max(successes, key=lambda success: success.finished_at, default=None),
        max(failures, key=lambda failure: failure.finished_at, default=None),
    )
