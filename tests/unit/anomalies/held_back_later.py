"""More cases held back: written when the judge was done, before it had seen any of them, and not changed since."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case, at, at_end
from tests.unit.anomalies.making import (
    DAY,
    HOUR,
    MONDAY,
    about,
    at_place,
    changed,
    ended,
    exactly,
    lasting,
    later,
    of_counts,
    scaled,
    series,
    without,
)


def sensors(rng: Random, _moment: datetime) -> int:
    """Readings every ten minutes: 288 sensors, of which a few are away."""
    return 288 - min(288, round(rng.expovariate(0.5)))


def news_desk(rng: Random, moment: datetime) -> int:
    """Articles an hour: office hours on working days, a trickle else; by chance."""
    busy = moment.weekday() < 5 and 7 <= moment.hour < 19
    level = 40 if busy else 4
    return max(0, round(rng.gauss(level, math.sqrt(level))))


def month_ends(rng: Random, moment: datetime) -> int:
    """Invoices: five times as many on the first of a month."""
    return round((5_000 if moment.day == 1 else 1_000) * math.exp(rng.gauss(0, 0.1)))


def heavy_tails(rng: Random, _moment: datetime) -> int:
    """Mentions of a brand: some hundreds, and at times thousands."""
    return round(200 / (1 - rng.random()) ** 0.7)


def two_feeds(rng: Random, moment: datetime) -> int:
    """One source whose runs read one of two files by turns."""
    return round((12_000 if moment.day % 2 else 900) * math.exp(rng.gauss(0, 0.04)))


def outage() -> list[RunFacts]:
    """Six failed hours, then the backlog, then as ever."""
    runs = series(80, about(300, 0.15), every=HOUR, seed=101)
    broken = [ended(run, "failed", share=0.0) for run in runs[70:76]]
    return [*runs[:70], *broken, scaled(runs[76], 7), *runs[77:]]


def leap(factor: float, after: int) -> list[RunFacts]:
    """A customer more, from one day on."""
    runs = series(90, about(1_200, 0.1), seed=102)
    return [*runs[:60], *(scaled(run, factor) for run in runs[60 : 60 + after])]


def replayed_between() -> list[RunFacts]:
    """Replays and requeues between ordinary runs, and a drop."""
    found = list[RunFacts]()
    for run in series(60, about(2_000), every=6 * HOUR, seed=103):
        found.append(replace(run, id=2 * run.id, pass_id=2 * run.id))
        again = replace(scaled(run, 30), id=2 * run.id + 1, pass_id=2 * run.id + 1, operation="replay")
        found.append(later(again, HOUR))
    return at_place(found[:-1], -1, scaled(found[-2], 0.2))


def only_refreshes_fail() -> list[RunFacts]:
    """A weekly refresh among daily runs; the last refresh lacks half of the table."""
    runs = [
        of_counts(run.id, run.started_at, 80_000, unchanged=79_000, seconds=60, full=True) if run.id % 7 == 0 else run
        for run in series(84, about(300, 0.2), seed=104)
    ]
    return at_place(runs, -1, of_counts(84, runs[-1].started_at, 40_000, unchanged=39_500, seconds=30, full=True))


def after_midnight(minutes: int) -> list[RunFacts]:
    """A daily run about midnight, now before and now after it."""
    rng = Random(105)
    return [
        of_counts(
            day + 1,
            MONDAY.replace(hour=0) + day * DAY + timedelta(minutes=rng.uniform(-minutes, minutes)),
            640 + day % 9,
        )
        for day in range(100)
    ]


CASES = [
    Case("sensors, of which a few are away", series(168, sensors, every=timedelta(minutes=10), seed=106), judged=100),
    Case(
        "half of the sensors are away",
        at_place(
            series(168, sensors, every=timedelta(minutes=10), seed=107),
            -1,
            of_counts(168, MONDAY + timedelta(minutes=1670), 140),
        ),
        at_end("volume"),
    ),
    Case(
        "eight days of a news desk",
        series(192, news_desk, every=HOUR, begin=MONDAY.replace(hour=0), seed=108),
        judged=24,
    ),
    Case("invoices on the first of the month", series(150, month_ends, seed=109), judged=100),
    Case("mentions with heavy tails", series(168, heavy_tails, every=HOUR, seed=110), judged=120),
    Case("two files by turns", series(60, two_feeds, seed=111), judged=40),
    Case("the backlog after an outage", outage(), at([-4], "freshness"), at([-4], "volume"), judged=10),
    Case("a leap by a half", leap(1.5, 1), frozenset(), at_end("volume")),
    Case("a leap to three times", leap(3.0, 1), at_end("volume")),
    Case("a leap to three times, a month ago", leap(3.0, 30), judged=15),
    Case("a drop among replays", replayed_between(), at_end("volume")),
    Case("half of a refresh", only_refreshes_fail(), at_end("volume")),
    Case("a daily run about midnight", after_midnight(25), judged=80),
    Case(
        "a slow disk: twice as long, and by a minute",
        at_place(series(60, about(90_000), seed=112), -1, lasting(series(60, about(90_000), seed=112)[-1], 110.0)),
        at_end("duration"),
    ),
    Case(
        "rejects creep from two to five in a hundred",
        changed(
            series(60, about(4_000), rejected=0.02, seed=113),
            -1,
            fetched=4_000,
            inserted=2_900,
            updated=900,
            rejected=200,
        ),
        at_end("reject_share"),
    ),
    Case(
        "three days in a row with the same count",
        [
            *series(30, about(2_500, 0.03), seed=114),
            *(of_counts(31 + day, MONDAY + (30 + day) * DAY, 2_488) for day in range(3)),
        ],
    ),
    Case(
        "a weekly run that did not come",
        without(series(30, about(700), every=7 * DAY, seed=115), -2),
        at_end("freshness"),
        at_end("volume"),
    ),
    Case(
        "a counter that went back to zero",
        changed(
            series(50, exactly(1_440), every=DAY, begin=datetime(2026, 5, 1, tzinfo=UTC), seed=116),
            -1,
            fetched=0,
            inserted=0,
            updated=0,
            size_bytes=0,
        ),
        at_end("volume"),
    ),
]
"""Not one of them is to be changed for the judge's sake."""
