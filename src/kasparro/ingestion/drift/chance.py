"""How likely chance alone would give what is seen."""

import math


def score(odd: float, size: float, other_odd: float, other_size: float) -> float:
    """How many standard errors lie between two shares (by their arcsines, so that shares near 0 and 1 count too)."""
    return effect(odd / size, other_odd / other_size) * math.sqrt(size * other_size / (size + other_size))


def effect(share: float, other: float) -> float:
    """Cohen's h: the distance of two shares, 0 to pi, in which equal steps are equally surprising."""
    return abs(2 * math.asin(math.sqrt(_share(share))) - 2 * math.asin(math.sqrt(_share(other))))


def sureness(standard_errors: float) -> float:
    """1 minus the probability that chance gives as much, two-sided."""
    return round(math.erf(standard_errors / math.sqrt(2)), 4)


def all_on_one_side(count: float, size: float, other_size: float) -> float:
    """The probability that `count` things all lie among `size` records, and none among `other_size` others."""
    return (size / (size + other_size)) ** count


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
