"""What accepting a finding makes of the accepted shape: the fields concerned become what the run has seen."""

from collections.abc import Iterable
from typing import Final

from kasparro.ingestion.drift.findings import Kind
from kasparro.ingestion.drift.profile import FieldProfile, Profile
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.tallies import Tally
from kasparro.ingestion.source import Json

ARROW: Final = " -> "
"""Between the old and the new path of a rename."""


def renamed(field: str, olds: Iterable[str]) -> tuple[str, str]:
    """The old and the new path of a rename; where paths have arrows in them, `olds` tell which one parts the two."""
    parts = field.split(ARROW)
    pairs = [(ARROW.join(parts[:index]), ARROW.join(parts[index:])) for index in range(1, len(parts))]
    known = set(olds)
    return next((pair for pair in pairs if pair[0] in known), pairs[0])


def seen_fields(kind: Kind, field: str, profile: Profile) -> Json:
    """What a run has seen of a finding's field and all that is in it, as JSON that is stored with the finding.

    It is a shape of these fields alone; of a field that is missing there are none.
    """
    fields: dict[str, FieldProfile] = {}
    for top in _tops(kind, field):
        fields |= {path: found for path, found in profile.fields.items() if is_within(path, top)}
    return Shape.of(Profile(profile.records, profile.looked, fields=fields, bound=profile.bound)).to_json()


def with_accepted(shape: Json, kind: Kind, field: str, seen: Json | None) -> Json:
    """The shape once a finding is accepted; `seen` is what was stored with it.

    Raises ValueError for JSON of another version, and where nothing was stored that the finding needs.
    """
    before = Shape.read(shape)
    known = before.known
    if kind == "field_missing":
        gone, come = [field], Profile()
    else:
        if seen is None:
            raise ValueError("what the run has seen was not kept")
        come = Shape.read(seen).known
        gone = [renamed(field, known.fields)[0]] if kind == "field_renamed" else [field]
    tops = [renamed(field, known.fields)[1]] if kind == "field_renamed" else gone
    fields = {path: found for path, found in known.fields.items() if not any(is_within(path, top) for top in gone)}
    share = known.looked / come.looked if come.looked else 1.0
    fields |= {path: _scaled(found, share) for path, found in come.fields.items() if _is_of(path, tops)}
    merged = Profile(known.records, known.looked, fields=fields, bound=known.bound)
    merged.trim()
    return Shape(merged, before.filtered).to_json()


def is_within(path: str, top: str) -> bool:
    """Whether it is the field, or stands in it."""
    return path == top or path.startswith((top + ".", top + "[]"))


def _is_of(path: str, tops: Iterable[str]) -> bool:
    return any(is_within(path, top) for top in tops)


def _tops(kind: Kind, field: str) -> list[str]:
    """The fields that a run has of a finding; of a rename every place where its new name may begin."""
    if kind == "field_missing":
        return []
    parts = field.split(ARROW)
    return [ARROW.join(parts[index:]) for index in range(1, len(parts))] if kind == "field_renamed" else [field]


def _scaled(found: FieldProfile, share: float) -> FieldProfile:
    """As if the run had as many records as the shape, so that shares of records stay what they are."""
    types = {name: _tally(tally.count, share) for name, tally in found.types.items()}
    return FieldProfile(_tally(found.present.count, share), types, found.values)


def _tally(count: int, share: float) -> Tally:
    return Tally(max(1, round(count * share)) if count else 0)
