"""When a source counts as stale: its last success is older than its schedule and some patience allow."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from kasparro.core.database import Connection

Freshness = Literal["fresh", "stale", "unscheduled"]
_LEAST_PATIENCE_SECONDS: Final = 600.0
_MOST_PATIENCE_SECONDS: Final = 6 * 3600.0

_SCHEDULED = """
update sources set interval_seconds = given.seconds::double precision
from unnest($1::text[], $2::text[]) as given(name, seconds)
where sources.name = given.name and interval_seconds is distinct from given.seconds::double precision
"""
_UNSCHEDULED = """
update sources set interval_seconds = null, circuit_state = 'closed'
where interval_seconds is not null and name <> all($1::text[])
returning id
"""


def stale_after_seconds(interval_seconds: float) -> float:
    """The age of the last success from which on a source is stale that is due every `interval_seconds` at the latest.

    Two more intervals of patience, but at least ten minutes and at most six hours: five minutes are stale after 15, an
    hour after three, a day after 30 hours.
    """
    patience = min(max(2 * interval_seconds, _LEAST_PATIENCE_SECONDS), _MOST_PATIENCE_SECONDS)
    return interval_seconds + patience


def freshness(
    last_success_at: datetime | None, known_since: datetime, interval_seconds: float | None, now: datetime
) -> Freshness:
    """How fresh a source is. One that never succeeded is as old as our knowledge of it."""
    if interval_seconds is None:
        return "unscheduled"
    age = (now - (last_success_at or known_since)).total_seconds()
    return "stale" if age > stale_after_seconds(interval_seconds) else "fresh"


async def save_intervals(connection: Connection, seconds_by_source: Mapping[str, float]) -> None:
    """Keep the longest time between two due moments of each of these sources."""
    seconds: Sequence[str] = [repr(value) for value in seconds_by_source.values()]
    await connection.execute(_SCHEDULED, list(seconds_by_source), seconds)


async def forget_intervals(connection: Connection, scheduled: Sequence[str]) -> list[int]:
    """No scheduler reads any but these any more: the others cannot become stale, and are asked at no distance.

    The ids of those that one has read until now; whoever never had a schedule is left as it is.
    """
    return [row["id"] for row in await connection.fetch(_UNSCHEDULED, list(scheduled))]
