"""How long a run took, and how large its records were, against runs that read about as many."""

import math
from collections.abc import Sequence
from typing import Final

from kasparro.services.anomalies.facts import Anomaly
from kasparro.services.anomalies.robust import FEWEST, exp, usual
from kasparro.services.anomalies.seasons import Point, expect
from kasparro.services.anomalies.wording import counted, duration, size, size_range, times
from kasparro.services.anomalies.work import Work

_ALIKE: Final = 2.0
_ALIKE_RECORDS: Final = 100
"""Runs did about as much when they fetched and wrote at most so many times as much, or so many records more."""
_LATEST: Final = 100
"""Among so many runs are those that did about as much."""
_STEADY_SECONDS: Final = 0.12
"""The least spread of durations, as a share: machines are shared."""
_NOTHING_SECONDS: Final = 2.0
"""Less than that over what is usual is nothing."""
_SIZED_RECORDS: Final = 10
_STEADY_SIZE: Final = 0.05


def slowness(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """Longer than runs of about as many records took; a shorter time is no anomaly, and resumed runs are not timed."""
    run = work.run
    if work.resumed:
        return []
    alike = [each for each in history[-_LATEST:] if not each.resumed and _is_alike(each, work)]
    if len(alike) < FEWEST:
        return []
    found = usual([_log(each.run.seconds) for each in alike], _STEADY_SECONDS)
    center = exp(found.center)
    high = max(exp(found.high), center + _NOTHING_SECONDS)
    if run.seconds <= high:
        return []
    score = (_log(run.seconds) - found.center) / found.sigma
    told = f"took {duration(run.seconds)}, up to {duration(high)} was usual for about as many records"
    return [Anomaly("duration", 0.0, high, run.seconds, score, told + times(run.seconds, center, as_what="long"))]


def sizes(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """Bytes read, against what as many records usually have. Runs whose bytes were not counted say nothing."""
    run = work.run
    if not _is_sized(work):
        return []
    points = [
        Point(each.began, math.log(each.run.size_bytes / each.run.fetched))
        for each in history[-_LATEST:]
        if _is_sized(each)
    ]
    floor = max(_STEADY_SIZE, 1 / math.sqrt(run.fetched))
    expected = expect(points, work.began, lambda _level: floor, by_slots=False)
    value = math.log(run.size_bytes / run.fetched)
    if expected is None or expected.low <= value <= expected.high:
        return []
    low, high = (exp(bound) * run.fetched for bound in (expected.low, expected.high))
    told = f"read {size(run.size_bytes)}, {size_range(low, high)} was usual for {counted(run.fetched)}{expected.when}"
    told += times(run.size_bytes, exp(expected.center) * run.fetched)
    return [Anomaly("bytes", low, high, run.size_bytes, expected.score(value), told)]


def _log(seconds: float) -> float:
    return math.log(max(seconds, 0.001))


def _is_sized(work: Work) -> bool:
    return work.run.fetched >= _SIZED_RECORDS and work.run.size_bytes > 0


def _is_alike(one: Work, other: Work) -> bool:
    return _are_near(one.run.fetched, other.run.fetched) and _are_near(one.run.written, other.run.written)


def _are_near(one: int, other: int) -> bool:
    return max(one, other) <= max(_ALIKE * min(one, other), min(one, other) + _ALIKE_RECORDS)
