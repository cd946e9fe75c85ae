"""What runs have counted, from small rows: true whichever process ran them, and cheap to read, however much is loaded.

Nothing here reads a table of records, raw payloads, rejects or batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kasparro.core.database import Connection
from kasparro.services import anomalies, quality, workers
from kasparro.services.freshness import stale_after_seconds
from kasparro.services.liveness import dead_runs

_COUNTERS = """
select s.name as source, c.name, c.label, c.value
from metric_counters c join sources s on s.id = c.source_id
where c.name <> 'rejected_open'
order by s.name, c.name, c.label
"""
_OPEN_REJECTS = """
select s.name as source, 'rejected_open' as name, split_part(c.label, '#', 1) as label, sum(c.value) as value
from metric_counters c join sources s on s.id = c.source_id
where c.name = 'rejected_open'
group by s.name, split_part(c.label, '#', 1) order by 1, 3
"""
_SOURCES = """
select name, last_success_at, circuit_state, interval_seconds,
       greatest(0, extract(epoch from now() - coalesce(complete_at, created_at)))::double precision as lag_seconds
from sources order by name
"""
_ACTIVE = """
select s.name as source, 'runs_active' as name, state.name as label,
       (select count(*) from etl_runs r
        where r.source_id = s.id and r.finished_at is null and r.state = state.name and r.id <> all($1::bigint[])
       )::double precision as value
from sources s cross join (values ('queued'), ('running')) as state(name) order by 1, 3
"""
_DRIFT_OPEN = """
select s.name as source, 'drift_open' as name, d.kind as label, count(*)::double precision as value
from schema_drift_events d join sources s on s.id = d.source_id
where d.state = 'open' group by s.name, d.kind order by 1, 3
"""
_UNREAD = """
select s.name from sources s cross join lateral (
    select trigger from etl_runs where source_id = s.id and operation is null order by id desc limit 1) newest
where s.interval_seconds is null and newest.trigger = 'schedule'
"""
"""A scheduler has read them last, and none reads them any more: they were taken out of its configuration."""
_VERDICTS: Final = frozenset({"drift_open", "anomaly_score", "quality_failing"})


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a source: `runs_total` by state, `records_total` by outcome, parts of `run_duration_seconds`."""

    source: str
    name: str
    label: str
    value: float


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """How a source stands. `lag_seconds`: since all it had was known to be read; `stale_after_seconds` None: never."""

    name: str
    last_success_at: datetime | None
    circuit_state: str
    lag_seconds: float
    stale_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that `/metrics` says of sources and runs; gauges are among the counters, by their name."""

    counters: Mapping[str, Sequence[Counter]]
    """By name."""
    sources: tuple[SourceFacts, ...]
    workers: int

    def of(self, name: str) -> Sequence[Counter]:
        """The counters of one name, by source."""
        return self.counters.get(name, ())


async def read_counters(connection: Connection) -> tuple[Counter, ...]:
    """What only grows, by source, name and label."""
    return tuple(Counter(**dict(row)) for row in await connection.fetch(_COUNTERS))


async def open_rejects(connection: Connection) -> tuple[Counter, ...]:
    """How many rejects are open, by source and code: what a count would say, at every moment.

    The database keeps these rows itself, one for each code and lane: see migration 0006.
    """
    return tuple(Counter(**dict(row)) for row in await connection.fetch(_OPEN_REJECTS))


async def read_facts(connection: Connection) -> RunFacts:
    """What `/metrics` says of runs, without verdicts on sources that no scheduler reads any more.

    The schema must be current; outside of a transaction (see liveness.py).
    """
    dead = await dead_runs(connection)
    gauges = [
        *await connection.fetch(_ACTIVE, list(dead.ids)),
        *await connection.fetch(_DRIFT_OPEN),
    ]
    counters = (
        *await read_counters(connection),
        *await open_rejects(connection),
        *(Counter(**dict(row)) for row in gauges),
        *[
            Counter(each.source, "anomaly_score", each.measure, each.score)
            for each in await anomalies.current(connection)
        ],
        *_failing(await quality.failing(connection)),
    )
    sources = tuple(_source(**dict(row)) for row in await connection.fetch(_SOURCES))
    unread = {row["name"] for row in await connection.fetch(_UNREAD)}
    told = [each for each in counters if each.name not in _VERDICTS or each.source not in unread]
    return RunFacts(_by_name(told), sources, len(await workers.alive(connection)))


def _by_name(counters: Iterable[Counter]) -> dict[str, list[Counter]]:
    grouped: dict[str, list[Counter]] = {}
    for counter in counters:
        grouped.setdefault(counter.name, []).append(counter)
    return grouped


def _source(*, interval_seconds: float | None, **columns: object) -> SourceFacts:
    after = None if interval_seconds is None else stale_after_seconds(interval_seconds)
    return SourceFacts(**columns, stale_after_seconds=after)  # pyright: ignore[reportArgumentType]


def _failing(found: Iterable[quality.Failing]) -> Iterable[Counter]:
    counted: dict[tuple[str, str], float] = {}
    for each in found:
        counted[each.source, each.level] = counted.get((each.source, each.level), 0.0) + 1
    return (Counter(source, "quality_failing", level, value) for (source, level), value in counted.items())
