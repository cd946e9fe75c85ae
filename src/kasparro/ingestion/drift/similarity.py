"""How alike the values of two fields are, and how much that says: two columns of 0 and 1 are alike by chance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kasparro.ingestion.drift.numbers import overlap
from kasparro.ingestion.drift.profile import FieldProfile
from kasparro.ingestion.drift.thresholds import DENSE_SEQUENCE, ENUMERATION_REPEATS, ENUMERATION_VALUES
from kasparro.ingestion.drift.types import alike, families, filled, time_formats
from kasparro.ingestion.drift.values import KEPT_VALUES, Values

_SAME_RECORDS: Final = 0.3
"""So many distinct values in common are those of the same records, not chance."""
WHOLE: Final = frozenset(("integer", "text integer"))
_DENSE_REPEATED: Final = 0.5
"""Running numbers that stand in several records each fill this part of their range."""
_UNKNOWN: Final = 0.9
"""Nulls alone: nothing speaks against a type."""
_TELLING: Final = 3
"""An enumeration of so many shared words is one that no other field has."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """`alike` is 0 to 1; `telling` is how improbable so much likeness is between fields that have nothing in common."""

    alike: float
    telling: float


def types_alike(one: FieldProfile, other: FieldProfile) -> float:
    """0 to 1; a number is nearly one that became text or ceased to be."""
    if not filled(one) or not filled(other):
        return _UNKNOWN
    ones, others = families(one), families(other)
    strict = alike(ones, others)
    loose = alike(_loosely(ones), _loosely(others))
    return strict + (loose - strict) * 0.85


def values_alike(one: FieldProfile, other: FieldProfile) -> Likeness:
    """How alike the sampled values are, by what tells most about them."""
    ones, others = one.values, other.values
    if not ones.count or not others.count:
        return Likeness(0.0, 0.0)
    formats, other_formats = time_formats(one), time_formats(other)
    if formats and other_formats:
        return Likeness(alike(formats, other_formats), 0.55)
    if is_enumeration(ones) and is_enumeration(others):
        return _enumerations(ones, others)
    shared = jaccard(ones, others)
    if shared >= _SAME_RECORDS:
        whole = sum(tally.count for reading, tally in ones.readings.items() if reading in WHOLE) * 2 > ones.count
        return Likeness(min(1.0, 0.85 + shared / 4), 0.7 if whole else 0.95)
    if is_running(one) and is_running(other):
        return Likeness(0.9, 0.3)
    if _numeric(ones) and _numeric(others):
        common = min(overlap(ones.numbers, others.numbers), 1.0)
        fractions = "decimal" in ones.readings or "text decimal" in ones.readings
        return Likeness(common, (0.78 if fractions else 0.6) if len(ones.numbers) >= 8 else 0.4)
    return Likeness(_looks_alike(ones, others), 0.3)


def _looks_alike(ones: Values, others: Values) -> float:
    """How alike texts are of which none is in both: by their patterns, unless those are by chance as in UUIDs."""
    lengths = _lengths_alike(ones, others)
    masks, other_masks = _masks(ones), _masks(others)
    if len(masks) > len(ones.kept) / 2 and len(other_masks) > len(others.kept) / 2:
        readings = [_as_shares({name: tally.count for name, tally in side.readings.items()}) for side in (ones, others)]
        return alike(readings[0], readings[1]) * lengths
    return alike(masks, other_masks) * (0.5 + 0.5 * lengths)


def is_enumeration(values: Values) -> bool:
    """Whether few values are repeated over and over."""
    few = values.all_kept and 0 < len(values.kept) <= ENUMERATION_VALUES
    return few and values.count >= ENUMERATION_REPEATS * len(values.kept)


def jaccard(ones: Values, others: Values) -> float:
    """The part of all distinct values that both have."""
    together = sorted(ones.kept.keys() | others.kept.keys())[:KEPT_VALUES]
    return sum(key in ones.kept and key in others.kept for key in together) / len(together)


@lru_cache(maxsize=4_096)
def mask(text: str) -> str:
    """What a text is made of: `us7000abcd` is `a0a`, `Anna Smith` is `Aa Aa`."""
    return re.sub(r"[a-z]+", "a", re.sub(r"\d+", "0", re.sub(r"[A-Z]+", "A", text)))[:24]


def _enumerations(ones: Values, others: Values) -> Likeness:
    shares, other_shares = _value_shares(ones), _value_shares(others)
    shared = [name for name in shares if name in other_shares]
    words = [name for name in shared if not name.lstrip("-").replace(".", "", 1).isdigit()]
    of_all = len(shared) / len(shares.keys() | other_shares.keys())
    telling = 0.97 if len(words) >= _TELLING else 0.75 if len(words) == 2 and "true" not in words else 0.4
    return Likeness((alike(shares, other_shares) + of_all) / 2, telling)


def _value_shares(values: Values) -> dict[str, float]:
    counts = {text: tally.count for text, tally in values.texts().items()}
    return _as_shares(counts)


def _masks(values: Values) -> dict[str, float]:
    counts: dict[str, int] = {}
    for kept in values.kept.values():
        key = mask(kept.text)
        counts[key] = counts.get(key, 0) + kept.tally.count
    return _as_shares(counts)


def _lengths_alike(ones: Values, others: Values) -> float:
    return alike(_as_shares({str(key): n for key, n in ones.lengths.items()}),
                 _as_shares({str(key): n for key, n in others.lengths.items()}))  # fmt: skip


def _as_shares(counts: Mapping[str, int]) -> dict[str, float]:
    size = sum(counts.values())
    return {name: count / size for name, count in counts.items()} if size else {}


def is_running(found: FieldProfile) -> bool:
    """Whether the numbers are whole and fill their range, as running numbers do: their size says nothing."""
    values = found.values
    if values.low is None or values.high is None or values.all_kept or not values.readings.keys() <= WHOLE:
        return False
    span = values.high.number - values.low.number + 1
    of_all = filled(found) / values.count
    least = DENSE_SEQUENCE if values.duplicate_share == 0 else _DENSE_REPEATED
    return values.distinct * of_all / span >= least


def _numeric(values: Values) -> bool:
    return sum(values.numbers.values()) > 0.8 * values.count


def _loosely(shares: Mapping[str, float]) -> dict[str, float]:
    """Numbers in text among the numbers, and times among the texts they may have been."""
    loose: dict[str, float] = {}
    for name, share in shares.items():
        key = "number" if name == "text number" else name
        loose[key] = loose.get(key, 0.0) + share
    return loose
