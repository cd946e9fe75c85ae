"""Anomalies as they stand in `run_anomalies`: found as a run is closed, in its transaction, and shown from then on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from kasparro.core.database import Connection
from kasparro.services.anomalies.facts import Anomaly, RunFacts
from kasparro.services.anomalies.judge import judge
from kasparro.services.anomalies.rhythm import LATEST_SUCCESSES
from kasparro.services.anomalies.rhythm import overdue as judge_absence

HISTORY_RUNS: Final = 168
"""So many ordinary runs back a source's history is looked at: of one that is read hourly, a week."""
_LOOKED_AT: Final = 1_000
"""Among so many of its latest runs of all kinds, so that a backfill of thousands of chunks makes it no slower."""
_HISTORY: Final = """
select id, state, started_at, finished_at, coalesce(pass_id, -id), resumes_run_id, operation,
       coalesce((plan ->> 'full_refresh')::boolean, false) or coalesce(pg_column_size(checkpoint_before) <= 8, false),
       mapping_version, config_hash, fetched, inserted, updated, unchanged, rejected, size_bytes
from (
    select * from etl_runs
    where source_id = (select source_id from etl_runs where id = $1::bigint) order by id desc limit $2::integer) latest
where operation is null and started_at is not null and finished_at is not null
order by id desc limit $3::integer
"""
"""Where reading stood is `{}` for a first run; by its size (5 or 8 bytes), as that of thousands of files is large."""
_INSERT: Final = """
insert into run_anomalies (run_id, source_id, measure, expected_low, expected_high, seen, score, message)
select r.id, r.source_id, a.measure, a.low::double precision, a.high::double precision, a.seen::double precision,
       a.score::double precision, a.message
from etl_runs r,
     unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     with ordinality as a(measure, low, high, seen, score, message, place)
where r.id = $1::bigint order by a.place
"""
_COLUMNS: Final = (
    "a.run_id, s.name as source, a.measure, a.expected_low, a.expected_high, a.seen, a.score, a.message, a.created_at"
)
_OF_RUN: Final = f"""
select {_COLUMNS} from run_anomalies a join sources s on s.id = a.source_id where a.run_id = $1::bigint order by a.id
"""  # noqa: S608
_CURRENT: Final = f"""
select {_COLUMNS}
from sources s
cross join lateral (
    select id from etl_runs
    where source_id = s.id and operation is null and state in ('succeeded', 'partial') order by id desc limit 1) newest
join run_anomalies a on a.run_id = newest.id
order by s.name, a.id
"""  # noqa: S608
_RHYTHMS: Final = """
select s.name, s.last_success_at, known.times
from sources s cross join lateral (
    select array_agg(extract(epoch from finished_at)::text order by id) as times
    from (select id, finished_at from etl_runs
          where source_id = s.id and operation is null and state in ('succeeded', 'partial')
          order by id desc limit $2::integer) latest) known
where s.last_success_at < $1::timestamptz - interval '10 minutes' and known.times is not null
order by s.name
"""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FoundAnomaly:
    """One measure of a run that was far from usual: what was usual, what was seen, how far off, and in words."""

    run_id: int
    source: str
    measure: str
    expected_low: float
    expected_high: float
    seen: float
    score: float
    message: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Overdue:
    """A source that has gone without a success for longer than it usually does, in seconds."""

    source: str
    last_success_at: datetime
    expected_high: float
    seen: float
    score: float
    message: str


async def judge_closed(connection: Connection, run_id: int) -> None:
    """Judge an ordinary run that has just been closed, and keep what is unusual about it; in its closing transaction.

    A judgement that fails, which is a bug, is logged, and the run is closed without one.
    """
    rows = await connection.fetch(_HISTORY, run_id, _LOOKED_AT, HISTORY_RUNS + 1)
    runs = [RunFacts(*row) for row in rows]
    run = next((each for each in runs if each.id == run_id), None)
    if run is None:
        return
    try:
        found = judge([each for each in runs if each is not run], run)
    except Exception as bug:  # what is said about a run must not undo it
        log.exception("run.anomalies_failed", run_id=run_id, message=f"unexpected {type(bug).__name__}")
        return
    if found:
        await _insert(connection, run_id, found)


async def _insert(connection: Connection, run_id: int, found: list[Anomaly]) -> None:
    """Numbers go as text: for other arrays the driver asks each new connection's catalog about their type."""
    numbers = [
        [repr(float(getattr(each, name))) for each in found]
        for name in ("expected_low", "expected_high", "seen", "score")
    ]
    measures, messages = [each.measure for each in found], [each.message for each in found]
    await connection.execute(_INSERT, run_id, measures, *numbers, messages)


async def of_run(connection: Connection, run_id: int) -> list[FoundAnomaly]:
    """What is unusual about a run, in the order in which it was found; empty where nothing is."""
    return [FoundAnomaly(**dict(row)) for row in await connection.fetch(_OF_RUN, run_id)]


async def current(connection: Connection) -> list[FoundAnomaly]:
    """What is unusual about the latest run of each source that reached its end, by source."""
    return [FoundAnomaly(**dict(row)) for row in await connection.fetch(_CURRENT)]


async def overdue(connection: Connection, now: datetime | None = None) -> list[Overdue]:
    """Sources whose next success should have come by now, by their own rhythm; also those that nobody reads any more.

    A source without a rhythm, or with fewer than eight times between two successes, is never overdue.
    Times come as text: for arrays of their own type the driver asks each new connection's catalog.
    """
    moment = now or datetime.now(UTC)
    return [
        Overdue(row["name"], row["last_success_at"], each.expected_high, each.seen, each.score, each.message)
        for row in await connection.fetch(_RHYTHMS, moment, LATEST_SUCCESSES)
        for each in judge_absence([datetime.fromtimestamp(float(each), UTC) for each in row["times"]], moment)
    ]
