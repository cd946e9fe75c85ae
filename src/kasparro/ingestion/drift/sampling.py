"""Which records are looked at: chosen by their number alone, so that batches may end anywhere.

All at first, so that small runs are known exactly; then so many that a change midway is seen and long runs cost little.
"""

from typing import Final

Tiers = tuple[tuple[int, int, int], ...]
"""From which ordinal to which, and of how many records one is taken."""
STRUCTURE: Final[Tiers] = ((0, 1_024, 1), (1_024, 8_192, 8), (8_192, 1 << 62, 64))
"""Records whose fields, nulls and JSON types are counted."""
VALUES: Final[Tiers] = ((0, 512, 1), (512, 8_192, 32), (8_192, 1 << 62, 512))
"""Records whose values are looked at: that costs ten times as much."""
_MIX: Final = 2_654_435_761


def sampled_ordinals(tiers: Tiers, first: int, count: int) -> list[int]:
    """Those of `count` records from the ordinal `first` that are sampled. Costs nothing for those that are not."""
    end = first + count
    chosen: list[int] = []
    for begin, stop, step in tiers:
        low, high = max(first, begin), min(end, stop)
        if low < high:
            chosen += _one_of_each(low, high, step)
    return chosen


def _one_of_each(low: int, high: int, step: int) -> list[int]:
    """One of each `step` ordinals, at a place that differs from block to block: data may be periodic."""
    if step == 1:
        return list(range(low, high))
    blocks = range(low // step, (high - 1) // step + 1)
    ordinals = [block * step + (block * _MIX >> 16) % step for block in blocks]
    return [ordinal for ordinal in ordinals if low <= ordinal < high]
