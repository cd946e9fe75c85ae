"""How long a source has gone without a success, against how long it usually goes."""

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from kasparro.services.anomalies.facts import Anomaly
from kasparro.services.anomalies.robust import exp
from kasparro.services.anomalies.seasons import Point, expect
from kasparro.services.anomalies.wording import duration
from kasparro.services.anomalies.work import Work

LATEST_SUCCESSES: Final = 60
"""So many of them show how often a source succeeds."""
_STEADY: Final = 0.08
"""The least spread of the times between two successes, as a share: a clock that changes is no anomaly."""
_IRREGULAR: Final = 0.35
"""A source whose times between successes vary by more (as a share) has no rhythm: it is run by hand."""
_TRUSTED: Final = 14
"""Of fewer times, the longest one is usual too: it may be a weekend."""
_NOTHING_SECONDS: Final = 600.0
"""Less than that over what is usual is nothing."""


def freshness(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """Whether the success before this one was longer ago than it usually is."""
    successes = [each.run.finished_at for each in history[-LATEST_SUCCESSES:]]
    return _judged(successes, work.run.finished_at, "had passed") if successes else []


def overdue(successes: Sequence[datetime], now: datetime) -> list[Anomaly]:
    """Whether the last success, of those given (oldest first), is longer ago than is usual when the next one comes."""
    return _judged(successes, now, "have passed")


def _judged(successes: Sequence[datetime], until: datetime, passed: str) -> list[Anomaly]:
    """By the time of the success before: after that on a Friday, a weekend may be usual."""
    pairs = [(one, (other - one).total_seconds()) for one, other in pairwise(successes)]
    points = [Point(moment, math.log(seconds)) for moment, seconds in pairs if seconds > 0]
    expected = expect(points, successes[-1], lambda _level: _STEADY, trusted=_TRUSTED) if points else None
    if expected is None or expected.sigma > _IRREGULAR:
        return []
    seconds = (until - successes[-1]).total_seconds()
    high = max(exp(expected.high), exp(expected.center) + _NOTHING_SECONDS)
    if seconds <= high:
        return []
    after = f" after one{expected.when}" if expected.when else ""
    told = f"{duration(seconds)} {passed} since the last success, up to {duration(high)} was usual{after}"
    return [Anomaly("freshness", 0.0, high, seconds, expected.score(math.log(seconds)), told)]
