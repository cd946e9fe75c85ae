"""How a field's numbers have shifted: another unit, another range."""

import math
from collections.abc import Callable, Iterator
from typing import Final

from kasparro.ingestion.drift.chance import score, sureness
from kasparro.ingestion.drift.findings import Shift
from kasparro.ingestion.drift.numbers import Buckets, bucket_of, common_part, magnitudes, quantile
from kasparro.ingestion.drift.profile import FieldProfile
from kasparro.ingestion.drift.similarity import WHOLE, is_running
from kasparro.ingestion.drift.thresholds import (
    APART_FACTOR,
    APART_OVERLAP,
    FAR_FACTOR,
    FAR_SHARE,
    FEWEST_COMPARED,
    FEWEST_VALUES,
    OUT_FACTOR,
    SCALE_FACTOR,
    SCALE_SPREAD,
    SIGN_SHARE,
    SURE_SCORE,
    UNKNOWN_SHARE,
)
from kasparro.ingestion.drift.values import Values

_QUARTILES: Final = (0.25, 0.5, 0.75)
_NUMERIC_SHARE: Final = 0.8
"""A field is one of numbers when so many of its values are."""


def scale_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """All numbers larger or smaller by one factor, as by a change of unit; or nearly none where they were before."""
    if not _comparable(before, after):
        return None
    ones, others = magnitudes(before.values.numbers), magnitudes(after.values.numbers)
    size, other_size = sum(ones.values()), sum(others.values())
    if min(size, other_size) < FEWEST_COMPARED or _is_selection(before.values, after.values):
        return None
    steps = [math.log(quantile(others, share) / quantile(ones, share)) for share in _QUARTILES]
    error = _median_error(ones, others)
    factor = math.exp(steps[1])
    scaled = abs(steps[1]) >= max(math.log(SCALE_FACTOR), SURE_SCORE * error) and _is_one_factor(steps)
    apart = abs(steps[1]) >= math.log(APART_FACTOR) and common_part(ones, others) <= APART_OVERLAP
    if not scaled and not apart:
        return None
    sure = sureness(min(8.0, abs(steps[1]) / max(error, 0.05)))
    low, high = after.values.low, after.values.high
    seen = {**_described(after.values), "factor": float(f"{factor:.3g}")}
    places = (None if low is None else low.place, None if high is None else high.place)
    return Shift("scale", _described(before.values), seen, 1.0, sure, *places)


def range_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """Some numbers far out of the range, or negative or zero where none was."""
    ones, others = before.values, after.values
    if not _comparable(before, after) or ones.low is None or ones.high is None:
        return None
    size, other_size = sum(ones.numbers.values()), sum(others.numbers.values())
    if min(size, other_size) < FEWEST_COMPARED:
        return None
    for share_needed, far in _outsides(ones):
        count = sum(number for bucket, number in others.numbers.items() if far(bucket))
        standing = sum(number for bucket, number in ones.numbers.items() if far(bucket))
        standard_errors = score(count, other_size, standing, size)
        share = count / other_size
        if count >= FEWEST_VALUES and share - standing / size >= share_needed and standard_errors >= SURE_SCORE:
            extreme = others.low if far(min(others.numbers)) else others.high
            place = None if extreme is None else extreme.place
            return Shift("range", _described(ones), _described(others), share, sureness(standard_errors), place, place)
    return None


def _outsides(ones: Values) -> Iterator[tuple[float, Callable[[int], bool]]]:
    """What is out of the range of these numbers, each with the share that must be so."""
    assert ones.low is not None
    assert ones.high is not None
    size = sum(ones.numbers.values())
    largest = max(abs(ones.low.number), abs(ones.high.number))
    far, out = bucket_of(FAR_FACTOR * largest), bucket_of(OUT_FACTOR * largest)
    yield FAR_SHARE, lambda bucket: abs(bucket) > far
    yield SIGN_SHARE, lambda bucket: abs(bucket) > out
    if sum(count for bucket, count in ones.numbers.items() if bucket < 0) < UNKNOWN_SHARE * size:
        yield SIGN_SHARE, lambda bucket: bucket < 0
    if ones.numbers.get(0, 0) < UNKNOWN_SHARE * size:
        yield SIGN_SHARE, lambda bucket: bucket == 0


def _comparable(before: FieldProfile, after: FieldProfile) -> bool:
    """Whether both are numbers, and not running ones."""
    for values in (before.values, after.values):
        if not values.numbers or sum(values.numbers.values()) < _NUMERIC_SHARE * values.count:
            return False
    return not (is_running(before) and is_running(after))


def _is_selection(before: Values, after: Values) -> bool:
    """Whether the numbers are of few that were there before, such as the months of another quarter."""
    assert before.low is not None
    assert before.high is not None
    assert after.low is not None
    assert after.high is not None
    within = before.low.number <= after.low.number and after.high.number <= before.high.number
    return within and before.all_kept and before.readings.keys() <= WHOLE


def _is_one_factor(steps: list[float]) -> bool:
    same_way = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    return same_way and max(steps) - min(steps) <= math.log(SCALE_SPREAD)


def _median_error(ones: Buckets, others: Buckets) -> float:
    """The standard error of the difference of both medians' logarithms, by the wider quartiles."""
    spread = max(math.log(quantile(side, 0.75) / quantile(side, 0.25)) for side in (ones, others))
    return 1.25 / 1.35 * spread * math.sqrt(1 / sum(ones.values()) + 1 / sum(others.values()))


def _described(values: Values) -> dict[str, float]:
    """Range and quartiles, as findings show them."""
    assert values.low is not None
    assert values.high is not None
    middle = {f"{share:.0%}": float(f"{quantile(values.numbers, share):.3g}") for share in _QUARTILES}
    return {"least": values.low.number, **middle, "most": values.high.number}
