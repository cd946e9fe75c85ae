"""What share of a run's records was rejected, or unchanged, against what was usual.

Shares are compared as the arcsine of their root, whose spread by chance depends on the number of records alone
(Anscombe, "The Transformation of Poisson, Binomial and Negative-Binomial Data", Biometrika 35, 1948).
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from kasparro.services.anomalies.facts import Anomaly, RunFacts
from kasparro.services.anomalies.seasons import Expected, Point, expect
from kasparro.services.anomalies.wording import percent, percent_range
from kasparro.services.anomalies.work import Work, gap_ratio

FEWEST_RECORDS: Final = 20
"""Shares of fewer records say nothing."""
_LATEST: Final = 100
"""Shares are compared with so many runs."""
_REJECTS_FLOOR: Final = 0.02
_UNCHANGED_FLOOR: Final = 0.04
_LONG_GAP: Final = 1.5
_SHORT_GAP: Final = 0.5


def rejects(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """More rejects than usual; fewer are no anomaly."""
    run = work.run
    expected = _expected(history, work, lambda each: each.rejected, _REJECTS_FLOOR) if run.rejected else None
    if expected is None or (value := _value(run.rejected, run.fetched)) <= expected.high:
        return []
    high, seen = _share(expected.high), run.rejected / run.fetched
    told = f"rejected {percent(seen)} of the records ({run.rejected:,} of {run.fetched:,}), up to {percent(high)}"
    message = f"{told} was usual{expected.when}"
    return [Anomaly("reject_share", 0.0, high, seen, expected.score(value), message)]


def unchanged(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """More or fewer records unchanged than usual; not where the mapping, or the time since the last run, says why."""
    run = work.run
    if history and history[-1].run.mapping_version != run.mapping_version:
        return []
    expected = _expected(history, work, lambda each: each.unchanged, _UNCHANGED_FLOOR)
    if expected is None:
        return []
    value, ratio = _value(run.unchanged, run.fetched), gap_ratio(history, work)
    if not (value < expected.low and ratio <= _LONG_GAP) and not (value > expected.high and ratio >= _SHORT_GAP):
        return []
    low, high, seen = _share(expected.low), _share(expected.high), run.unchanged / run.fetched
    told = f"{percent(seen)} of the records were unchanged ({run.unchanged:,} of {run.fetched:,})"
    message = f"{told}, {percent_range(low, high)} was usual{expected.when}"
    return [Anomaly("unchanged_share", low, high, seen, expected.score(value), message)]


def _expected(history: Sequence[Work], work: Work, of: Callable[[RunFacts], int], floor: float) -> Expected | None:
    if work.run.fetched < FEWEST_RECORDS:
        return None
    runs = [each for each in history[-_LATEST:] if each.run.fetched >= FEWEST_RECORDS]
    points = [Point(each.began, _value(of(each.run), each.run.fetched)) for each in runs]
    by_chance = 1 / (2 * math.sqrt(work.run.fetched))
    return expect(points, work.began, lambda _level: max(floor, by_chance), by_slots=False)


def _value(part: int, whole: int) -> float:
    return math.asin(math.sqrt(min(1.0, part / whole)))


def _share(value: float) -> float:
    return math.sin(min(max(value, 0.0), math.pi / 2)) ** 2
