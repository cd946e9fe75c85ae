"""How likely chance alone would give what is seen."""

import math
from typing import Final

_SURE_OF_ODDS: Final = 1_000.0
"""So many times more is believed than was looked at: then the odds are as good as known."""


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


def at_least(count: int, size: int, odd: int, looked: int) -> float:
    """The probability that `count` or more of `size` records are odd, when `odd` of `looked` were so before.

    By the rule of succession where none was: a first one is suspicious. Where there were some, how many is an estimate,
    and its error counts as well (beta-binomial, https://en.wikipedia.org/wiki/Beta-binomial_distribution).
    """
    alpha, beta = odd + 1.0, looked - odd + 1.0
    if odd == 0:
        alpha, beta = alpha * _SURE_OF_ODDS, beta * _SURE_OF_ODDS
    if count <= size * alpha / (alpha + beta):
        return 1.0
    logarithm = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    logarithm += math.lgamma(count + alpha) + math.lgamma(size - count + beta) - math.lgamma(size + alpha + beta)
    term = math.exp(logarithm + math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta))
    found = 0.0
    while term > found * 1e-9 and count <= size:
        found += term
        if count < size:
            term *= (size - count) / (count + 1) * (count + alpha) / (size - count - 1 + beta)
        count += 1
    return min(1.0, found)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
