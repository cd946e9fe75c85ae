"""What is usual at a moment: by the hour and the weekday where these matter, and by the way things go.

Where a source's runs differ by the hour or the weekday, each value is taken relative to what is usual in its own slot;
so noise and changes are learned from all runs, and the level from those of the slot.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from kasparro.services.anomalies.robust import FEWEST, mean_distance, median, usual

SLOT_FEWEST: Final = 5
"""A slot (an hour, a weekday) counts once so many runs have begun in it."""
WINDOW_RUNS: Final = 60
WINDOW: Final = timedelta(days=10)
"""So many runs back, or so long, whichever is more."""
_BETTER: Final = 0.7
"""Slots, or a trend, must explain so much: what is left is at most this share of the distances."""
_KNOWN: Final = 3
"""A slot with so many values has a level to compare them with."""
_ALIKE: Final = math.log(3)
"""Noise is learned from slots whose level is alike, where these have enough values."""
_ALIKE_FEWEST: Final = 16
_DAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

HOURS: Final = 24


class Point(NamedTuple):
    """A value of a run that began at that moment (UTC)."""

    moment: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What is usual at a moment; `when` says of which slot, such as ` at this hour`, or nothing."""

    low: float
    high: float
    center: float
    sigma: float
    when: str = ""

    def score(self, value: float) -> float:
        """How many times the usual spread a value is off."""
        return abs(value - self.center) / self.sigma


@dataclass(frozen=True, slots=True)
class _Level:
    """What the values of a moment are relative to, from least to most, and those before relative to theirs."""

    least: float
    most: float
    residuals: Sequence[float]
    when: str


def expect(
    points: Sequence[Point],
    moment: datetime,
    floor: Callable[[float], float],
    *,
    by_slots: bool = True,
    trusted: int = 0,
) -> Expected | None:
    """What is usual at that moment by the points before it, oldest first; None for fewer than `FEWEST`.

    `floor` gives the least spread at a level. For `trusted`, see `usual`.
    """
    if len(points) < FEWEST:
        return None
    recent = _recent(points, moment)
    level = _slotted(recent, moment) if by_slots else None
    if level is None:
        level = _flat([point.value for point in recent])
    found = usual(_as_of_now(level.residuals), floor(level.most), trusted=trusted)
    center = (level.least + level.most) / 2 + found.center
    return Expected(level.least + found.low, level.most + found.high, center, found.sigma, level.when)


def _recent(points: Sequence[Point], moment: datetime) -> Sequence[Point]:
    since = moment - WINDOW
    first = next((place for place, point in enumerate(points) if point.moment >= since), len(points))
    return points[min(first, max(0, len(points) - WINDOW_RUNS)) :]


def _flat(values: Sequence[float]) -> _Level:
    """The same for all moments."""
    center = median(values)
    return _Level(center, center, [value - center for value in values], "")


def _slotted(points: Sequence[Point], moment: datetime) -> _Level | None:
    """By the slots that leave least unexplained; None where none of them leaves little enough."""
    values = [point.value for point in points]
    hours, own_hour = [point.moment.hour for point in points], moment.hour
    days, own_day = [point.moment.weekday() for point in points], moment.weekday()
    both = [day * HOURS + hour for day, hour in zip(days, hours, strict=True)]
    name = _DAYS[own_day]
    best, least = None, _BETTER
    for slots, own, when, has_hours in (
        (hours, own_hour, " at this hour", True),
        (days, own_day, f" on {name}", False),
        (both, own_day * HOURS + own_hour, f" on {name} at this hour", True),
    ):
        if slots.count(own) >= SLOT_FEWEST and len(set(slots)) > 1 and not (slots is both and len(set(hours)) == 1):
            share, level = _by_slots(values, slots, own, when, has_hours=has_hours)
            if share < least:
                best, least = level, share
    return best


def _by_slots(
    values: Sequence[float], slots: Sequence[int], own: int, when: str, *, has_hours: bool
) -> tuple[float, _Level]:
    """The share of the distances that these slots leave, and what is then usual in the slot `own`."""
    grouped = defaultdict[int, list[float]](list)
    for slot, value in zip(slots, values, strict=True):
        grouped[slot].append(value)
    levels = {slot: median(group) for slot, group in grouped.items() if len(group) >= _KNOWN}
    known = [(value, levels[slot]) for value, slot in zip(values, slots, strict=True) if slot in levels]
    compared = [value for value, _ in known]
    before = mean_distance(compared, median(compared)) * len(compared)
    left = sum(_left(grouped[slot], level) for slot, level in levels.items())
    level = levels[own]
    alike = [value - other for value, other in known if abs(other - level) <= _ALIKE]
    residuals = alike if len(alike) >= _ALIKE_FEWEST else [value - other for value, other in known]
    around = _around(levels, own) if has_hours else [level]
    return (left / before if before else 1.0), _Level(min(around), max(around), residuals, when)


def _left(values: Sequence[float], level: float) -> float:
    """The sum of distances from the slot's own middle, made up for being near to what it was made from."""
    count = len(values)
    return mean_distance(values, level) * count * count / (count - 1)


def _around(levels: dict[int, float], own: int) -> list[float]:
    """The levels of the hour and of those beside it: runs begin a little early or late, and clocks change."""
    day, hour = divmod(own, HOURS)
    hours = (hour, (hour - 1) % HOURS, (hour + 1) % HOURS)
    return [levels[slot] for slot in (day * HOURS + each for each in hours) if slot in levels]


def _as_of_now(values: Sequence[float]) -> Sequence[float]:
    """The values as they would be by now, where they grow or shrink steadily; else as they are."""
    count = len(values)
    third = count // 3
    if third < _KNOWN + 1:
        return values
    slope = (median(values[-third:]) - median(values[:third])) / (count - third)
    moved = [value + slope * (count - place) for place, value in enumerate(values)]
    better = mean_distance(moved, median(moved)) <= _BETTER * mean_distance(values, median(values))
    return moved if better else values
