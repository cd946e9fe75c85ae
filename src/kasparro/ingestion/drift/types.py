"""The types of a field's values as shares: JSON types, texts by what they read as."""

from typing import Final

from kasparro.ingestion.drift.profile import FieldProfile
from kasparro.ingestion.drift.readings import family

Shares = dict[str, float]
_EPOCHS: Final = ((5e8, 4e9), (5e11, 4e12), (1.9e7, 2.1e7))
"""Seconds, and milliseconds, since 1970: 1985 to 2096; and days such as 20260131."""


def filled(found: FieldProfile) -> int:
    """How many values there are that are not null, nor a text that means so (by their share of the sample)."""
    return sum(found.count(kind) for kind in found.types if kind not in ("null", "string")) + texts(found)


def texts(found: FieldProfile) -> int:
    """How many texts there are that are values."""
    nulls = found.values.nulls.count
    if not nulls:
        return found.count("string")
    sampled = sum(tally.count for reading, tally in found.values.readings.items() if is_text(reading))
    return round(found.count("string") * sampled / (sampled + nulls))


def families(found: FieldProfile) -> Shares:
    """Of the values that are not null: the share of each family, `number, boolean, object, array` of JSON, and of texts
    `text number, time, text`.
    """
    size = filled(found)
    if not size:
        return {}
    shares = {kind: tally.count / size for kind, tally in found.types.items() if kind not in ("null", "string")}
    for name, share in text_families(found).items() if texts(found) else ():
        shares[name] = share * texts(found) / size
    return shares


def is_text(reading: str) -> bool:
    """Whether it is one of texts."""
    return reading.startswith(("text", "time "))


def text_families(found: FieldProfile) -> Shares:
    """The shares among sampled texts."""
    counts: dict[str, int] = {}
    for reading, tally in found.values.readings.items():
        if is_text(reading):
            counts[family(reading)] = counts.get(family(reading), 0) + tally.count
    size = sum(counts.values())
    return {name: count / size for name, count in counts.items()} if size else {"text": 1.0}


def time_formats(found: FieldProfile) -> Shares:
    """The share of each format among sampled texts that are times."""
    counts = {name: tally.count for name, tally in found.values.readings.items() if name.startswith("time ")}
    size = sum(counts.values())
    return {name: count / size for name, count in counts.items()}


def is_epoch(found: FieldProfile) -> bool:
    """Whether all numbers may be times, as seconds or milliseconds since 1970, or as days without dashes."""
    low, high = found.values.low, found.values.high
    if low is None or high is None:
        return False
    return any(least <= low.number <= high.number <= most for least, most in _EPOCHS)


def alike(ones: Shares, others: Shares) -> float:
    """The part of two distributions that is common."""
    return sum(min(share, others.get(name, 0.0)) for name, share in ones.items())


def rounded(shares: Shares) -> Shares:
    """As findings show them."""
    return {name: round(share, 4) for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share}
