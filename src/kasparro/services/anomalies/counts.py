"""How much a run read and wrote, against what was usual; and counts that stand still where they never did."""

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

from kasparro.services.anomalies.facts import Anomaly, Measure, RunFacts
from kasparro.services.anomalies.robust import FEWEST, exp
from kasparro.services.anomalies.seasons import Expected, Point, expect
from kasparro.services.anomalies.wording import counted, times, usual_range
from kasparro.services.anomalies.work import Work, gap_ratio

_STEADY: Final = 0.03
"""The least spread of counts, as a share: so a count that never varied may be an eighth more or less."""
_BY_CHANCE: Final = 1.2
"""Records that come one by one vary by the square root of their number (Poisson), and by a little more."""
_OFTEN_NONE: Final = 0.3
"""Where so many runs had nothing, nothing is usual, and what comes at a time varies widely."""
_BURST: Final = 3.0
"""So many times the second largest count is usual where most runs have nothing."""
_TRUSTED: Final = 14
"""Of fewer counts, the largest and the least are usual too: it may be what comes once a week."""
_UNKNOWN_DAY: Final = timedelta(days=2)
_NEAR: Final = math.log(2.5)
"""As long as runs of less than two days are known, a count is usual that is near one of the last three usual ones."""
_LASTING: Final = 5
"""So many runs in a row beside what was usual are a new level."""
_EMPTY_RUNS: Final = 20
_EMPTY_TIME: Final = timedelta(days=1)
"""Where something came before, nothing is usual after so many runs in a row, and so long, and not before."""
_MOST_STRETCH: Final = 50.0
"""So many times as much is usual at most, however long nothing came."""
_SHORT_GAP: Final = 0.5
_LONG_GAP: Final = 1.5
_STUCK_RUNS: Final = 5
_STOOD: Final = 2
"""So many times as long as all that is known of before, a count that stands still is usual."""
_STUCK_CHANCE: Final = 1e-5
"""So improbable must it be that a count is the same by chance so many times."""


def volume(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """Records fetched; where that is usual, also records written, unless the mapping has just changed."""
    found = _counted(history, work, "volume", lambda run: run.fetched)
    if found is None and not _is_mapped_anew(history, work):
        found = _counted(history, work, "written", lambda run: run.written)
    return [] if found is None else [found]


def stuck(history: Sequence[Work], work: Work) -> list[Anomaly]:
    """Whether exactly as many records were fetched time and again, where that hardly ever happened."""
    counts = [each.run.fetched for each in (*history, work)]
    streak = next((place for place, count in enumerate(reversed(counts)) if count != counts[-1]), len(counts))
    before = counts[: len(counts) - streak]
    if streak < _STUCK_RUNS or len(before) < max(FEWEST, streak / _STOOD):
        return []
    same = max(sum(one == other for one, other in pairwise(before)), before.count(counts[-1]))
    if 2 * same >= len(before) or before[:2] == [counts[-1]] * 2:  # seldom varied, or stood there before what is known
        return []
    chance = ((same + 1) / (len(before) + 1)) ** (streak - 1)
    longest = _longest(before)
    if chance > _STUCK_CHANCE or streak <= longest:
        return []
    was = "never twice before" if longest == 1 else f"at most {longest} times before"
    message = f"fetched exactly {counted(counts[-1])} {streak} times in a row, {was}"
    return [Anomaly("stuck", 1, longest, streak, math.sqrt(-2 * math.log(chance)), message)]


def _longest(counts: Sequence[int]) -> int:
    longest = length = 1
    for one, other in pairwise(counts):
        length = length + 1 if one == other else 1
        longest = max(longest, length)
    return longest


def _is_mapped_anew(history: Sequence[Work], work: Work) -> bool:
    return bool(history) and history[-1].run.mapping_version != work.run.mapping_version


def _counted(history: Sequence[Work], work: Work, measure: Measure, of: Callable[[RunFacts], int]) -> Anomaly | None:
    seen = of(work.run)
    value = math.log1p(seen)
    if seen == 0:
        history = _before_it_was_empty(history, work, of)
    points = [Point(each.began, math.log1p(of(each.run))) for each in history]
    expected = expect(points, work.began, _floor, trusted=_TRUSTED)
    if expected is None or _is_near(points, work, value):
        return None
    least, most = _stretched(history, work)
    low = exp(expected.low + math.log(least)) - 1
    high = exp(expected.high + math.log(most)) - 1
    counts = [of(each.run) for each in history]
    if counts.count(0) >= _OFTEN_NONE * len(counts):
        low, high = 0.0, max(high, _BURST * sorted(counts)[-2])
    low = max(0.0, low)
    if low <= seen <= high:
        return None
    return Anomaly(measure, low, high, seen, expected.score(value), _told(measure, seen, low, high, expected))


def _floor(level: float) -> float:
    return max(_STEADY, _BY_CHANCE / math.sqrt(exp(max(level, 0.0))))


def _before_it_was_empty(history: Sequence[Work], work: Work, of: Callable[[RunFacts], int]) -> Sequence[Work]:
    """The runs by which no record is judged: without the last ones that had none, until these have lasted."""
    empty = next((place for place, each in enumerate(reversed(history)) if of(each.run)), len(history))
    began = history[len(history) - empty].began if empty else work.began
    lasted = empty >= _EMPTY_RUNS and work.began - began >= _EMPTY_TIME
    return history if lasted else history[: len(history) - empty]


def _is_near(points: Sequence[Point], work: Work, value: float) -> bool:
    """Whether it goes on from the last usual runs, where not even a day's course is known."""
    if work.began - points[0].moment >= _UNKNOWN_DAY:
        return False
    return _is_close(_usual_ones([point.value for point in points])[-3:], value)


def _usual_ones(values: Sequence[float]) -> list[float]:
    """The values that go on from those before them, or from a new level that has lasted."""
    usual, beside = list(values[:FEWEST]), list[float]()
    for value in values[FEWEST:]:
        if _is_close(usual[-3:], value):
            usual.append(value)
            beside.clear()
            continue
        beside.append(value)
        if len(beside) == _LASTING:
            usual.extend(beside)
            beside.clear()
    return usual


def _is_close(others: Sequence[float], value: float) -> bool:
    return any(abs(other - value) <= _NEAR for other in others)


def _stretched(history: Sequence[Work], work: Work) -> tuple[float, float]:
    """How much less and how much more may have come in, for the time since the last success."""
    ratio = min(gap_ratio(history, work), _MOST_STRETCH)
    return (ratio if ratio < _SHORT_GAP else 1.0), (ratio if ratio > _LONG_GAP else 1.0)


def _told(measure: Measure, seen: int, low: float, high: float, expected: Expected) -> str:
    did = "fetched" if measure == "volume" else "inserted and updated"
    middle = exp(expected.center) - 1
    return f"{did} {counted(seen)}, {usual_range(low, high)} were usual{expected.when}{times(seen, middle)}"
