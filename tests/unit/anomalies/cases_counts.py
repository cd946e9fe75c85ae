"""Cases of counts: too many, too few, none, a new level, and the same for ever."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case, at, at_end
from tests.unit.anomalies.making import DAY, HOUR, MONDAY, about, at_place, exactly, later, of_counts, scaled, series


def by_day(rng: Random, moment: datetime) -> int:
    """Ten times as many at noon as at midnight."""
    level = 400 * 10 ** (0.5 - 0.5 * math.cos(moment.hour / 24 * 2 * math.pi))
    return round(level * math.exp(rng.gauss(0, 0.06)))


def working_days(rng: Random, moment: datetime) -> int:
    """A tenth at weekends."""
    return round((2_000 if moment.weekday() < 5 else 200) * math.exp(rng.gauss(0, 0.06)))


def last(runs: list[RunFacts], factor: float) -> list[RunFacts]:
    """The runs, the last one with so many times the records."""
    return at_place(runs, -1, scaled(runs[-1], factor))


def with_spike(place: int, factor: float) -> list[RunFacts]:
    """Sixty days, of which one has so many times the records."""
    runs = series(60, about(5_000), seed=3)
    return at_place(runs, place, scaled(runs[place], factor))


def shifted(factor: float, runs_after: int, *, every: timedelta = DAY) -> list[RunFacts]:
    """Forty runs, and then some on another level."""
    runs = series(40 + runs_after, about(5_000), every=every, seed=4)
    return [*runs[:40], *(scaled(run, factor) for run in runs[40:])]


def stuck_at(count: int, times: int, *, before: int = 40) -> list[RunFacts]:
    """Runs whose count varies, and then some with the same count."""
    runs = series(before + times, about(count, 0.03), seed=5)
    return [*runs[:before], *(replace(run, **_same(count)) for run in runs[before:])]


def _same(count: int) -> dict[str, int]:
    return {"fetched": count, "inserted": count, "updated": 0, "unchanged": 0, "size_bytes": 400 * count}


def midnight_load_at_noon() -> list[RunFacts]:
    """Ten days by the hour; the last noon has what midnight usually has."""
    runs = series(240 - 11, by_day, every=HOUR, begin=MONDAY.replace(hour=0), seed=6)
    assert runs[-1].started_at.hour == 12
    return last(runs, 0.1)


def sunday_on_monday() -> list[RunFacts]:
    """Nine weeks, and a Monday with as little as a Sunday."""
    return last(series(64, working_days, seed=7), 0.1)


def once_a_minute(count: int, spike: float) -> list[RunFacts]:
    """Runs in quick succession, the last with so many times the records."""
    return last(series(count, about(300, 0.08), every=timedelta(minutes=1), seed=8), spike)


def nothing_on(runs: list[RunFacts]) -> list[RunFacts]:
    """The runs, the last one with no record."""
    return last(runs, 0.0)


def a_written_burst() -> list[RunFacts]:
    """As many records are read as ever, and six times as many of them are new."""
    runs = series(40, about(3_000, 0.02), unchanged=0.9, seed=9)
    return at_place(runs, -1, of_counts(40, runs[-1].started_at, 3_000, unchanged=1_200, seconds=runs[-1].seconds))


def by_minute(*levels: tuple[int, int]) -> list[RunFacts]:
    """A run each minute: so many runs with exactly so many records, and then others."""
    counts = [level for times, level in levels for _ in range(times)]
    return [of_counts(place + 1, MONDAY + place * timedelta(minutes=1), count) for place, count in enumerate(counts)]


CASES = [
    Case("a three hundredth of the records", last(series(60, about(4_300), seed=2), 1 / 350), at_end("volume")),
    Case("half of the records", last(series(60, about(4_300), seed=2), 0.5), at_end("volume")),
    Case("four times the records", last(series(60, about(4_300), seed=2), 4), at_end("volume")),
    Case("one spike is told once and does not become usual", with_spike(-20, 12), at([-20], "volume"), judged=40),
    Case(
        "one drop is told once and hides no other",
        last(with_spike(-20, 0.05), 0.05),
        at([-20, -1], "volume"),
        judged=40,
    ),
    Case("a spike by the minute", once_a_minute(60, 8), at_end("volume")),
    Case("a spike on the ninth run", once_a_minute(9, 12), at_end("volume")),
    Case("a drop on the ninth run", last(series(9, about(5_000), seed=10), 0.05), at_end("volume")),
    Case("a new level is told", shifted(3, 1), at_end("volume")),
    Case("a new level is told again as long as it may pass", shifted(3, 3), at([-1, -2, -3], "volume"), judged=3),
    Case("a new level is learned", shifted(3, 12), frozenset(), at(range(-12, -4), "volume"), judged=12),
    Case(
        "a lower level is learned",
        shifted(0.3, 12),
        frozenset(),
        at(range(-12, -4), "volume"),
        judged=12,
    ),
    Case("a drop from a level that was learned", last(shifted(3, 30), 0.05), at_end("volume")),
    Case("no record where there always were", nothing_on(series(30, about(5_000), seed=11)), at_end("volume")),
    Case("no record where there were about thirty", nothing_on(series(40, about(30, 0.2), seed=11)), at_end("volume")),
    Case("no record where there were about three", nothing_on(series(40, about(3, 0.5), seed=11))),
    Case("as few at noon as at midnight", midnight_load_at_noon(), at_end("volume")),
    Case("as few on a Monday as on a Sunday", sunday_on_monday(), at_end("volume")),
    Case(
        "a full table that shrinks by a fifth, which never changed",
        last(series(40, exactly(10_000), unchanged=0.0, seed=12), 0.8),
        at_end("volume"),
    ),
    Case(
        "twice as many new records as ever, of as many read",
        a_written_burst(),
        at_end("written"),
        at_end("unchanged_share"),
    ),
    Case("a counter stuck for six days", stuck_at(5_210, 6), at_end("stuck")),
    Case("a counter stuck for three days", stuck_at(5_210, 3)),
    Case(
        "a stuck counter is told as long as it is",
        stuck_at(5_210, 12),
        at([-1, -4, -7], "stuck"),
        at(range(-12, 0), "stuck"),
        judged=12,
    ),
    Case(
        "exactly 10,000 from a table that grew past it",
        [of_counts(day + 1, MONDAY + day * DAY, min(10_000, 8_000 + 41 * day + day % 7)) for day in range(60)],
        at_end("stuck"),
    ),
    Case(
        "a tenth after a gap of no consequence",
        last([later(run, timedelta(minutes=7 * (run.id % 3))) for run in series(50, about(900, 0.1), seed=13)], 0.1),
        at_end("volume"),
    ),
    Case(
        "nothing comes any more, by the minute: told as long as that lasts",
        by_minute((100, 50), (60, 0)),
        at(range(-60, 0), "volume"),
        judged=60,
    ),
    Case(
        "nothing comes any more, by the day: told twenty times",
        [*series(60, about(5_000), seed=14), *(scaled(run, 0) for run in series(90, about(5_000), seed=14)[60:])],
        at(range(-30, -10), "volume"),
        at(range(-30, 0), "stuck"),
        judged=30,
    ),
    Case(
        "a new level by the minute is told until it has lasted",
        by_minute((100, 50), (20, 900)),
        at(range(-20, -16), "volume"),
        at([-16, -15], "volume"),
        judged=20,
    ),
    Case("a level that is back at once by the minute", by_minute((100, 50), (2, 900), (20, 50)), judged=20),
    Case("the same for ever but for one odd run", by_minute((200, 50), (1, 900), (168, 50)), judged=168),
    Case(
        "the same for ever but for a dozen odd runs",
        by_minute((200, 50), *((1, 40 + n) for n in range(8)), (170, 50)),
        judged=168,
    ),
]
