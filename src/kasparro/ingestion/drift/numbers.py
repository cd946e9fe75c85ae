"""How numbers are distributed: counts by magnitude, four to each power of two. Adding is exact and bounded."""

import math
from collections.abc import Mapping
from typing import Final

_PER_DOUBLING: Final = 4
"""Neighbours differ by 19 %: quantiles are as exact as that, and a field has some dozens of buckets."""
_LEAST: Final = -160
_MOST: Final = 240
Buckets = Mapping[int, int]
"""Counts by bucket: 0 is zero, a negative one holds negative numbers."""


def bucket_of(number: float) -> int:
    """The bucket of a number; what is smaller than 1e-12 or larger than 1e18 shares one."""
    if number == 0:
        return 0
    magnitude = abs(number)
    exponent = math.floor(_PER_DOUBLING * math.log2(magnitude))
    place = min(max(exponent, _LEAST), _MOST) - _LEAST + 1
    return place if number > 0 else -place


def middle_of(bucket: int) -> float:
    """The number in the middle of a bucket, by magnitude."""
    if bucket == 0:
        return 0.0
    magnitude = 2.0 ** ((abs(bucket) - 1 + _LEAST + 0.5) / _PER_DOUBLING)
    return magnitude if bucket > 0 else -magnitude


def magnitudes(buckets: Buckets) -> dict[int, int]:
    """The same without signs and zeros."""
    found: dict[int, int] = {}
    for bucket, count in buckets.items():
        if bucket:
            found[abs(bucket)] = found.get(abs(bucket), 0) + count
    return found


def quantile(buckets: Buckets, share: float) -> float:
    """The number below which this share of all is, as exact as buckets are. There must be some."""
    wanted, seen = share * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return middle_of(bucket)
    raise ValueError("no numbers")


def common_part(ones: Buckets, others: Buckets) -> float:
    """The part of two distributions that is common, 0 to 1. There must be some numbers in both."""
    size, other_size = sum(ones.values()), sum(others.values())
    return sum(min(count / size, others.get(key, 0) / other_size) for key, count in ones.items())


def overlap(ones: Buckets, others: Buckets) -> float:
    """The same, with what chance takes from it given back."""
    noise = 0.4 * math.sqrt(len(ones.keys() | others.keys()) * (1 / sum(ones.values()) + 1 / sum(others.values())))
    return min(1.0, common_part(ones, others) * (1 + min(noise, 0.4)))
