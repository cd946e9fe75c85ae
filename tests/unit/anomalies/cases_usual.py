"""Cases of sources as they are on ordinary days: nothing is to be said of any of them."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case
from tests.unit.anomalies.cases_counts import by_day, working_days
from tests.unit.anomalies.making import DAY, HOUR, MONDAY, about, exactly, later, of_counts, series

BERLIN = ZoneInfo("Europe/Berlin")


def growing(share: float, *, every: timedelta = DAY) -> list[RunFacts]:
    """More with each run, and a little noise."""
    rng = Random(61)
    return [
        of_counts(
            number + 1, MONDAY + number * every, round(3_000 * (1 + share) ** number * math.exp(rng.gauss(0, 0.02)))
        )
        for number in range(120)
    ]


def bursts(rng: Random, _moment: datetime) -> int:
    """Mostly nothing, one time in seven something, seldom much."""
    return round(math.exp(rng.gauss(4, 1.1))) if rng.random() < 0.15 else 0


def noisy(rng: Random, _moment: datetime) -> int:
    """By a factor of two around, often."""
    return round(700 * math.exp(rng.gauss(0, 0.7)))


def weekly_dump(rng: Random, moment: datetime) -> int:
    """Each Sunday everything, on other days a little."""
    return round((40_000 if moment.weekday() == 6 else 350) * math.exp(rng.gauss(0, 0.05)))


def local_evening(rng: Random, moment: datetime) -> int:
    """By the hour of a town that moves its clocks."""
    hour = moment.astimezone(BERLIN).hour
    return round((2_500 if 8 <= hour < 20 else 300) * math.exp(rng.gauss(0, 0.06)))


def daily_at_six_in_berlin() -> list[RunFacts]:
    """At six by the clock on the wall, over both changes of the clocks."""
    days = [datetime(2026, 2, 1, 6, tzinfo=BERLIN) + day * DAY for day in range(280)]
    return [of_counts(place, day.astimezone(UTC), 900 + 7 * (place % 13)) for place, day in enumerate(days, 1)]


def on_working_days() -> list[RunFacts]:
    """A run each working day, none at weekends."""
    moments = [MONDAY + day * DAY for day in range(90)]
    days = [moment for moment in moments if moment.weekday() < 5]
    return [of_counts(place, day, 900 + 11 * (place % 7)) for place, day in enumerate(days, 1)]


def by_hand() -> list[RunFacts]:
    """Now and then, as somebody feels like it."""
    rng, moment, runs = Random(62), MONDAY, list[RunFacts]()
    for number in range(40):
        moment += timedelta(seconds=math.exp(rng.gauss(8, 2)))
        runs.append(of_counts(number + 1, moment, 151, unchanged=151))
    return runs


def late_now_and_then() -> list[RunFacts]:
    """Hourly runs, some of which begin minutes late."""
    rng = Random(63)
    return [
        later(run, timedelta(minutes=rng.choice([0, 0, 1, 3, 9]))) for run in series(150, about(800, 0.1), every=HOUR)
    ]


def feed(rng: Random, _moment: datetime) -> int:
    """Nothing (304), or a page of some entries."""
    return rng.choice([0, 0, 0, 20, 20, 20, 21])


def a_feed_of_unchanged_entries() -> list[RunFacts]:
    """A feed of which one in some entries is new."""
    rng = Random(64)
    return [
        of_counts(number + 1, MONDAY + number * HOUR, 40, unchanged=40 - min(40, max(0, round(rng.expovariate(0.4)))))
        for number in range(120)
    ]


CASES = [
    Case("sixty ordinary days", series(60, about(5_000), unchanged=0.3, rejected=0.01, seed=71), judged=25),
    Case("the same counts each day", series(60, exactly(10_000), seed=72), judged=25),
    Case(
        "one record more each day",
        [of_counts(day, MONDAY + day * DAY, 10_000 + day) for day in range(1, 61)],
        judged=25,
    ),
    Case("a percent more each day", growing(0.01), judged=25),
    Case("three percent more each day", growing(0.03), judged=25),
    Case("two percent fewer each day", growing(-0.02), judged=25),
    Case("a percent more each quarter of an hour", growing(0.01, every=timedelta(minutes=15)), judged=25),
    Case("ten weeks with quiet weekends", series(70, working_days, seed=73), judged=30),
    Case("ten days by the hour", series(240, by_day, every=HOUR, begin=MONDAY.replace(hour=0), seed=74), judged=30),
    Case("a first day by the hour", series(24, by_day, every=HOUR, begin=MONDAY.replace(hour=0), seed=75), judged=16),
    Case("two days, every five minutes", series(400, by_day, every=timedelta(minutes=5), seed=76), judged=30),
    Case("mostly nothing, and bursts", series(180, bursts, every=timedelta(minutes=10), seed=77), judged=25),
    Case("counts that vary by a factor of two and more", series(150, noisy, every=6 * HOUR, seed=78), judged=25),
    Case("everything on Sundays, a little on other days", series(140, weekly_dump, seed=79), judged=25),
    Case(
        "hours of a town as its clocks change",
        series(260, local_evening, every=HOUR, begin=datetime(2026, 3, 22, 0, 10, tzinfo=UTC), seed=80),
        judged=96,
    ),
    Case("each day at six by the clock on the wall", daily_at_six_in_berlin(), judged=30),
    Case("working days only", on_working_days(), judged=25),
    Case("a source that is run by hand", by_hand(), judged=30),
    Case("runs that begin late now and then", late_now_and_then(), judged=25),
    Case("a feed that often has nothing new", series(120, feed, every=HOUR, seed=81), judged=25),
    Case("a feed of which little is new", a_feed_of_unchanged_entries(), judged=25),
    Case("nothing, ever", series(60, exactly(0), every=HOUR, seed=82), judged=25),
    Case("about three records an hour", series(150, about(3, 0.7), every=HOUR, seed=83), judged=25),
    Case(
        "idle for days, then one record",
        [*series(60, exactly(0), every=HOUR, seed=84), of_counts(61, MONDAY + 60 * HOUR, 1)],
    ),
    Case(
        "refreshes only",
        [replace(run, full=True) for run in series(40, about(8_000, 0.02), unchanged=0.98, seed=85)],
        judged=30,
    ),
]
