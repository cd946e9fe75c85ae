"""Whether a field has changed its type, or the mix of its types has shifted."""

from typing import Final

from kasparro.ingestion.drift.chance import score, sureness
from kasparro.ingestion.drift.findings import Shift
from kasparro.ingestion.drift.profile import FieldProfile
from kasparro.ingestion.drift.readings import family
from kasparro.ingestion.drift.tallies import Place
from kasparro.ingestion.drift.thresholds import (
    CHANGED_SHARE,
    FEWEST_COMPARED,
    FEWEST_VALUES,
    MIX_SHARE,
    MOVED_SHARE,
    SURE_SCORE,
    UNKNOWN_SHARE,
)
from kasparro.ingestion.drift.types import alike, families, filled, is_epoch, rounded

_OF_TEXT: Final = ("text", "text number", "time")


def type_change(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """The change where most values are of types that were not there before."""
    found = _new_types(before, after)
    if found is None or found.share < CHANGED_SHARE:
        return None
    # any text may happen to look like a number; a number is no text
    return None if _is_narrower(before, after) else found


def mix_shift(before: FieldProfile, after: FieldProfile) -> Shift | None:
    """The shift where some values are of types that were not there before, or many are of others than before."""
    found = _new_types(before, after)
    if found is not None:
        return found
    if min(filled(before), filled(after)) < FEWEST_COMPARED:
        return None
    ones, others = families(before), families(after)
    moved = 1 - alike(ones, others)
    size, other_size = _sizes(before, after)
    sure = score(moved * other_size, other_size, 0, size)
    if moved < MOVED_SHARE or sure < SURE_SCORE or _is_epoch_change(before, after):
        return None
    grown = max(others, key=lambda name: others[name] - ones.get(name, 0.0))
    first, last = _examples(after, {grown})
    return Shift("types", rounded(ones), rounded(others), moved, sureness(sure), first, last, 1 - moved)


def _new_types(before: FieldProfile, after: FieldProfile) -> Shift | None:
    if min(filled(before), filled(after)) < FEWEST_COMPARED or _is_epoch_change(before, after):
        return None
    ones, others = families(before), families(after)
    unknown = {name for name in others if ones.get(name, 0.0) < UNKNOWN_SHARE}
    share = sum(others[name] for name in unknown)
    size, other_size = _sizes(before, after)
    expected = sum(ones.get(name, 0.0) for name in unknown)
    sure = score(share * other_size, other_size, expected * size, size)
    if share < MIX_SHARE or share * other_size < FEWEST_VALUES or sure < SURE_SCORE:
        return None
    first, last = _examples(after, unknown)
    return Shift("types", rounded(ones), rounded(others), share, sureness(sure), first, last, 1 - share)


def _is_narrower(before: FieldProfile, after: FieldProfile) -> bool:
    """Whether free text has become text of a kind."""
    return families(before).get("text", 0.0) >= CHANGED_SHARE and families(after).keys() <= set(_OF_TEXT)


def _is_epoch_change(before: FieldProfile, after: FieldProfile) -> bool:
    """Whether times in text are counted in seconds now, or no more: another format, not another type."""
    ones, others = families(before), families(after)
    for times, numbers, counted in ((ones, others, after), (others, ones, before)):
        if times.get("time", 0.0) > CHANGED_SHARE and numbers.get("text number", 0.0) > CHANGED_SHARE:
            return is_epoch(counted)
    return False


def _sizes(before: FieldProfile, after: FieldProfile) -> tuple[int, int]:
    """How many values the shares stand on: texts are sampled."""
    return _size(before), _size(after)


def _size(side: FieldProfile) -> int:
    return min(filled(side), max(1, side.values.count)) if side.count("string") else filled(side)


def _examples(after: FieldProfile, names: set[str]) -> tuple[Place | None, Place | None]:
    """The first and last value of these families."""
    tallies = [tally for kind, tally in after.types.items() if kind in names]
    tallies += [
        tally
        for reading, tally in after.values.readings.items()
        if family(reading) in names and family(reading) in _OF_TEXT
    ]
    firsts = [tally.first for tally in tallies if tally.first is not None]
    lasts = [tally.last for tally in tallies if tally.last is not None]
    return min(firsts, default=None), max(lasts, default=None)
