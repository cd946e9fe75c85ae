"""How a field's values have shifted: nulls, new values of an enumeration, date formats, repeated values."""

from typing import Final

from kasparro.ingestion.drift.chance import effect, score, sureness
from kasparro.ingestion.drift.findings import Shift
from kasparro.ingestion.drift.profile import FieldProfile
from kasparro.ingestion.drift.readings import UNSURE_DATES
from kasparro.ingestion.drift.similarity import is_enumeration, mask
from kasparro.ingestion.drift.tallies import Place, Tally
from kasparro.ingestion.drift.thresholds import (
    DUPLICATE_SHARE,
    FEW_DUPLICATES,
    FEWEST_COMPARED,
    FEWEST_RECORDS,
    FEWEST_VALUES,
    FORMAT_SHARE,
    NEW_NUMBER_SHARE,
    NEW_VALUE_SHARE,
    NULL_EFFECT,
    SURE_SCORE,
)
from kasparro.ingestion.drift.types import families, filled, is_epoch, rounded, time_formats

_EXPECTED_TIMES: Final = 5.0
"""New values must be so many times more than the rare values of before let expect (Good and Turing)."""

_UNSURE_DISTINCT: Final = 1.3
"""The number of distinct values is an estimate: by chance it is hardly ever so many times too small."""


def null_shift(before: FieldProfile, after: FieldProfile, sizes: tuple[int, int]) -> Shift | None:
    """More records without a value, or fewer; `sizes` are those of the objects that the field may stand in."""
    size, other_size = sizes
    if min(size, other_size) < FEWEST_RECORDS:
        return None
    shares = [max(0.0, 1 - filled(side) / count) for side, count in ((before, size), (after, other_size))]
    standard_errors = score(shares[0] * size, size, shares[1] * other_size, other_size)
    if effect(*shares) < NULL_EFFECT or standard_errors < SURE_SCORE:
        return None
    nulls = after.types.get("null", Tally()) if shares[1] > shares[0] else after.present
    expected, seen = (round(share, 4) for share in shares)
    return Shift("nulls", expected, seen, shares[1], sureness(standard_errors), nulls.first, nulls.last)


def enumeration_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """New values in a field that had only few. Digits do not make a value new: `run-18` comes after `run-17`."""
    if not is_enumeration(before.values) or not after.values.count or families(after).get("time"):
        return None
    known = before.values.texts()
    masks = {mask(text) for text in known if any(character.isdigit() for character in text)}
    new = {text: tally for text, tally in after.values.texts().items() if text not in known and mask(text) not in masks}
    numeric = bool(before.values.numbers)
    if numeric:
        new = {text: tally for text, tally in after.values.texts().items() if text not in known}
    counted = sum(tally.count for tally in after.values.texts().values())
    count = sum(tally.count for tally in new.values())
    share = count / counted
    rare = sum(tally.count <= 2 for tally in known.values())
    usual = _EXPECTED_TIMES * (rare + 1) / before.values.count
    least = max(NEW_NUMBER_SHARE if numeric else NEW_VALUE_SHARE, usual)
    if count < FEWEST_VALUES or share < least or (numeric and not _joins(before, new, share)):
        return None
    sure = sureness(score(count, counted, rare + 0.5, before.values.count))
    first, last = _ends(list(new.values()))
    return Shift("new values", sorted(known), sorted(new)[:24], share, sure, first, last)


def _joins(before: FieldProfile, new: dict[str, Tally], share: float) -> bool:
    """Whether new numbers stand beside known ones, of an enumeration that has no rare values: codes, not counts."""
    known = before.values.texts()
    settled = len(known) >= 3 and all(tally.count >= FEWEST_VALUES for tally in known.values())
    return settled and len(new) <= 3 and share < 0.5


def format_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """Times in a format that was not there before."""
    ones, others = _formats(before), _formats(after)
    if min(before.values.count, after.values.count) < FEWEST_COMPARED or not ones or not others:
        return None
    known = {name for name, share in ones.items() if share >= FORMAT_SHARE}
    if not known:
        return None
    new = {name for name in others if name not in known and not _may_be(name, known)}
    share = sum(others[name] for name in new)
    count = share * after.values.count
    standard_errors = score(count, after.values.count, sum(ones.get(name, 0.0) for name in new), before.values.count)
    if share < FORMAT_SHARE or count < FEWEST_VALUES or standard_errors < SURE_SCORE:
        return None
    tallies = [tally for name, tally in after.values.readings.items() if name in new or not name.startswith("time ")]
    first, last = _ends(tallies)
    return Shift("time format", rounded(ones), rounded(others), share, sureness(standard_errors), first, last)


def _formats(found: FieldProfile) -> dict[str, float]:
    """Formats of times; numbers in text that may be times are one, where there is nothing else."""
    formats = time_formats(found)
    if not formats and families(found).get("text number", 0.0) == 1.0 and is_epoch(found):
        return {"time as a number": 1.0}
    return formats


def _may_be(name: str, known: set[str]) -> bool:
    """Whether it may be a format that is known, where days and months cannot be told apart."""
    like = {other for other in known if len(name) == len(other) and name[6] == other[6]}
    return bool(like) and (name in UNSURE_DATES or like <= UNSURE_DATES)


def duplicate_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """Values that repeat, in a field that had nearly each value once."""
    size, other_size = before.values.count, after.values.count
    usual = before.values.duplicate_share
    if min(size, other_size) < FEWEST_RECORDS or before.values.all_kept or usual > FEW_DUPLICATES:
        return None
    # one value that stands in half of the records may not be among those kept
    share = max(after.values.duplicate_share, 1 - _UNSURE_DISTINCT * after.values.distinct / other_size)
    growth = other_size / size
    # the more records, the more of them are equal by chance
    if share < max(usual + DUPLICATE_SHARE, 0.15 * growth, 4 * usual * growth):
        return None
    repeated = [kept.tally for kept in after.values.kept.values() if kept.tally.count > 1]
    kept = sum(found.tally.count for found in after.values.kept.values())
    sure = sureness(score(share * kept, kept, usual * len(before.values.kept) + 0.5, len(before.values.kept)))
    first, last = _ends(repeated)
    return Shift("duplicates", round(usual, 4), round(share, 4), share, sure, first, last)


def _ends(tallies: list[Tally]) -> tuple[Place | None, Place | None]:
    firsts = [tally.first for tally in tallies if tally.first is not None]
    lasts = [tally.last for tally in tallies if tally.last is not None]
    return min(firsts, default=None), max(lasts, default=None)
