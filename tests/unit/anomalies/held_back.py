"""The held-back quarter of the table: written before there was a judge, and not looked at while one is tuned."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case, at, at_end
from tests.unit.anomalies.making import (
    DAY,
    HOUR,
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

WEDNESDAY = datetime(2026, 3, 4, 2, 30, tzinfo=UTC)


def orders_of_a_shop(rng: Random, moment: datetime) -> int:
    """Orders of an hour: hardly any at night, most in the evening, and noise as of customers who come by chance."""
    level = 6 + 180 * max(0.0, math.sin((moment.hour - 5) / 19 * math.pi)) ** 2
    return max(0, round(rng.gauss(level, math.sqrt(level) * 1.3)))


def office(rng: Random, moment: datetime) -> int:
    """Tickets of a day: few at weekends."""
    return round((900 if moment.weekday() < 5 else 60) * math.exp(rng.gauss(0, 0.08)))


def mostly_idle(rng: Random, _moment: datetime) -> int:
    """Nothing new in four runs of five, and then anything between a handful and some hundreds."""
    return 0 if rng.random() < 0.8 else round(math.exp(rng.gauss(3.5, 1.0)))


def growing(rate: float) -> list[RunFacts]:
    """A table that is read whole each day and grows by a share a day."""
    return [
        of_counts(
            day + 1,
            WEDNESDAY + day * DAY,
            round(20_000 * (1 + rate) ** day),
            unchanged=round(19_000 * (1 + rate) ** day),
        )
        for day in range(90)
    ]


def _half_of_the_evening() -> list[RunFacts]:
    runs = series(190, orders_of_a_shop, every=HOUR, begin=datetime(2026, 3, 2, 0, 5, tzinfo=UTC), seed=31)
    evening = max(place for place, run in enumerate(runs) if run.started_at.hour == 15)
    return at_place(runs[: evening + 1], -1, scaled(runs[evening], 0.1))


def _resumed() -> list[RunFacts]:
    runs = series(20, about(12_000), begin=WEDNESDAY, seed=36)
    part = replace(scaled(runs[-1], 0.7), state="interrupted")
    rest = replace(
        later(scaled(runs[-1], 0.3), timedelta(minutes=9)), id=21, pass_id=part.pass_id, resumes_run_id=part.id
    )
    return [*runs[:-1], part, rest]


CASES = [
    Case("a shop's ordinary week, hour by hour", series(200, orders_of_a_shop, every=HOUR, seed=30), judged=24),
    Case("a tenth of the orders at three in the afternoon", _half_of_the_evening(), at_end("volume")),
    Case("twelve weeks of an office with quiet weekends", series(84, office, seed=32), judged=42),
    Case(
        "a Tuesday as quiet as a Sunday",
        at_place(series(86, office, seed=33), -1, scaled(series(86, office, seed=33)[-1], 0.07)),
        at_end("volume"),
    ),
    Case("now and then something new", series(150, mostly_idle, every=timedelta(minutes=15), seed=34), judged=60),
    Case("a table that grows by half a percent a day", growing(0.005), judged=60),
    Case(
        "a table that lost a third",
        at_place(growing(0.003), -1, scaled(growing(0.003)[-1], 0.66)),
        at_end("volume"),
        at_end("unchanged_share", "written"),
    ),
    Case("a killed run and the one that went on", _resumed(), judged=1),
    Case(
        "three failed runs between good ones",
        [
            ended(run, "failed") if place in {12, 17, 23} else run
            for place, run in enumerate(series(30, about(3_000), seed=37))
        ],
        judged=10,
        allowed=at([-6], "freshness"),
    ),
    Case(
        "no run for two days",
        without(series(33, about(800, 0.1), seed=38), -2, -3),
        at_end("freshness"),
        at_end("volume"),
    ),
    Case(
        "five times as long for as many records",
        at_place(series(25, about(50_000), seed=39), -1, lasting(series(25, about(50_000), seed=39)[-1], 140.0)),
        at_end("duration"),
    ),
    Case(
        "a server that answers quicker or slower",
        [lasting(run, 0.2 + 0.9 * Random(run.id).random()) for run in series(40, about(30, 0.2), seed=40)],
        judged=25,
    ),
    Case(
        "one record in twenty rejected, where hardly any was",
        changed(
            series(30, about(2_000), rejected=0.001, seed=41),
            -1,
            rejected=100,
            fetched=2_000,
            inserted=1_500,
            updated=400,
        ),
        at_end("reject_share"),
    ),
    Case(
        "bodies of records are empty since today",
        changed(series(45, about(1_500, 0.1), record_bytes=2_600, seed=42), -1, size_bytes=240_000),
        at_end("bytes"),
    ),
    Case(
        "every record changed at once",
        changed(
            series(40, about(10_000, 0.01), unchanged=0.96, seed=43),
            -1,
            fetched=10_000,
            unchanged=0,
            updated=9_900,
            inserted=100,
        ),
        at_end("unchanged_share", "written"),
    ),
    Case(
        "a cache that answers the same for ever",
        series(40, lambda rng, moment: 5_000 + 37 * (moment.day % 9) + rng.randrange(900), seed=44)
        + [
            replace(run, id=40 + place, pass_id=40 + place)
            for place, run in enumerate(
                series(7, exactly(5_411), begin=datetime(2026, 2, 14, 6, tzinfo=UTC), seed=45), 1
            )
        ],
        at_end("stuck"),
        judged=1,
    ),
    Case(
        "nothing at all, where there always was something",
        changed(
            series(28, about(420, 0.15), every=6 * HOUR, seed=46), -1, fetched=0, inserted=0, updated=0, size_bytes=0
        ),
        at_end("volume"),
    ),
]
"""Not one of them is to be changed for the judge's sake."""
