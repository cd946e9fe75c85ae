"""Anomalies that have been found, as they stand in `run_anomalies`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kasparro.core.database import Connection

_COLUMNS: Final = "a.run_id, s.name as source, a.measure, a.expected_low, a.expected_high, a.seen, a.score, a.message"
_OF_RUN: Final = f"""
select {_COLUMNS}, a.created_at from run_anomalies a join sources s on s.id = a.source_id
where a.run_id = $1::bigint order by a.id
"""  # noqa: S608
_CURRENT: Final = f"""
select {_COLUMNS}, a.created_at
from sources s
cross join lateral (
    select id from etl_runs
    where source_id = s.id and operation is null and state in ('succeeded', 'partial') order by id desc limit 1) newest
join run_anomalies a on a.run_id = newest.id
order by s.name, a.id
"""  # noqa: S608


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


async def of_run(connection: Connection, run_id: int) -> list[FoundAnomaly]:
    """What is unusual about a run, in the order in which it was found; empty where nothing is."""
    return [FoundAnomaly(**dict(row)) for row in await connection.fetch(_OF_RUN, run_id)]


async def current(connection: Connection) -> list[FoundAnomaly]:
    """What is unusual about the latest run of each source that reached its end, by source."""
    return [FoundAnomaly(**dict(row)) for row in await connection.fetch(_CURRENT)]
