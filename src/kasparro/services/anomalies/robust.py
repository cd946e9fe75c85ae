"""What is usual, from values of which some may be wild: the median, and the median distance from it.

The distance (MAD) times 1.4826 estimates a standard deviation: Rousseeuw and Croux, "Alternatives to the Median
Absolute Deviation", Journal of the American Statistical Association 88 (1993), section 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FEWEST: Final = 8
"""Of fewer values, nothing is said."""
REACH: Final = 4.5
"""So many standard deviations from the middle are still usual; more of them where there are few values."""
FEW: Final = 4.0
"""How fast the reach grows with few values: by `FEW / n`, half as much again for eight."""
RECENT: Final = 36
"""So many of the latest values are looked at on their own, so that a new level becomes usual soon."""
TRIMMED: Final = 12
"""One of so many values may be wild, at either end, and is not taken for usual."""
ROOM: Final = 3.0
"""Around what the values cover, so many standard deviations are usual too."""
_MAD_TO_SIGMA: Final = 1.4826
_LARGEST_EXPONENT: Final = 700.0


@dataclass(frozen=True, slots=True)
class Usual:
    """Values from `low` to `high` are usual; `center` is the middle, `sigma` the spread around it."""

    center: float
    sigma: float
    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """The middle of at least one value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def mean_distance(values: Sequence[float], center: float) -> float:
    """How far the values are from there, on the average."""
    return sum([abs(value - center) for value in values]) / len(values)


def exp(value: float) -> float:
    """e to that power, where that is a number at all; else the largest power of e."""
    return math.exp(min(value, _LARGEST_EXPONENT))


def usual(values: Sequence[float], floor: float, *, trusted: int = 0) -> Usual:
    """What is usual by these values, oldest first, at least one. Their spread counts as `floor` at least.

    That is what lies within the reach of the median, and also what the values themselves cover but for one in
    `TRIMMED` at either end, all of them or the latest: so two levels that take turns are both usual.
    Of fewer than `trusted` values, none is taken for wild.
    """
    center = median(values)
    sigma = max(floor, _MAD_TO_SIGMA * median([abs(value - center) for value in values]))
    reach = REACH * (1 + FEW / len(values)) * sigma
    covered = [_covered(part, trusted) for part in (values, values[-RECENT:])]
    low = min(center - reach, *(least - ROOM * sigma for least, _ in covered))
    high = max(center + reach, *(most + ROOM * sigma for _, most in covered))
    return Usual(center, sigma, low, high)


def _covered(values: Sequence[float], trusted: int) -> tuple[float, float]:
    ordered = sorted(values)
    wild = 0 if len(ordered) < trusted else max(1, len(ordered) // TRIMMED)
    return ordered[wild], ordered[-1 - wild]
