"""The shape of a source's payloads that was accepted: a profile without examples, as JSON that jsonb can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kasparro.ingestion.drift.profile import FieldProfile, Profile
from kasparro.ingestion.drift.tallies import Tally
from kasparro.ingestion.drift.values import Extreme, Kept, Values
from kasparro.ingestion.source import Json

FORMAT: Final = 1
"""The version of the JSON; another one cannot be read."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What was accepted; `known.first` and `.last`, and places, mean nothing here.

    `filtered`: by what `where` reads, how many records were filtered and lack it, and of how many.
    """

    known: Profile
    filtered: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    @classmethod
    def of(cls, profile: Profile, filtered: Mapping[str, tuple[int, int]] | None = None) -> "Shape":
        """The shape that a run's profile has."""
        return cls.read(cls(profile, filtered or {}).to_json())

    def and_also(self, profile: Profile, filtered: Mapping[str, tuple[int, int]] | None = None) -> "Shape":
        """What this shape and a further run have together."""
        together = Profile()
        together.absorb(self.known)
        together.absorb(Shape.of(profile).known)
        return Shape(together, _summed(self.filtered, filtered or {}))

    def to_json(self) -> Json:
        """As `source_shapes.shape` stores it."""
        fields = {path: _field_json(found) for path, found in sorted(self.known.fields.items())}
        counts = {"records": self.known.records, "looked": self.known.looked}
        found: Json = {"format": FORMAT, **counts, "bound": self.known.bound, "fields": fields}
        if self.filtered:
            found["filtered"] = {name: list(counts) for name, counts in sorted(self.filtered.items())}
        return found

    @classmethod
    def read(cls, shape: Json) -> "Shape":
        """What `to_json` gave. Raises ValueError for a format of another version."""
        if shape.get("format") != FORMAT:
            raise ValueError(f"the shape has format {shape.get('format')!r}, not {FORMAT}")
        fields = {path: _field(found) for path, found in shape["fields"].items()}
        filtered = {name: (lacking, size) for name, (lacking, size) in shape.get("filtered", {}).items()}
        return cls(Profile(shape["records"], shape["looked"], fields=fields, bound=shape["bound"]), filtered)


def _field_json(found: FieldProfile) -> Json:
    values = found.values
    return {
        "present": found.present.count,
        "types": _counts(found.types),
        "readings": _counts(values.readings),
        "nulls": values.nulls.count,
        "numbers": {str(bucket): count for bucket, count in sorted(values.numbers.items())},
        "range": None if values.low is None or values.high is None else [values.low.number, values.high.number],
        "lengths": {str(size): count for size, count in sorted(values.lengths.items())},
        "values": [[key, kept.text, kept.tally.count] for key, kept in sorted(values.kept.items())],
    }


def _field(found: Json) -> FieldProfile:
    low, high = (None, None) if found["range"] is None else (Extreme(float(end), None) for end in found["range"])
    values = Values(
        readings=_tallies(found["readings"]),
        numbers=_buckets(found["numbers"]),
        low=low,
        high=high,
        lengths=_buckets(found["lengths"]),
        kept={key: Kept(text, Tally(count)) for key, text, count in found["values"]},
    )
    values.nulls.count = found["nulls"]
    return FieldProfile(Tally(found["present"]), _tallies(found["types"]), values)


def _summed(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    pairs = {name: (one.get(name, (0, 0)), other.get(name, (0, 0))) for name in one.keys() | other.keys()}
    return {name: (left[0] + right[0], left[1] + right[1]) for name, (left, right) in pairs.items()}


def _counts(tallies: dict[str, Tally]) -> dict[str, int]:
    return {name: tally.count for name, tally in sorted(tallies.items())}


def _tallies(counts: dict[str, int]) -> dict[str, Tally]:
    return {name: Tally(count) for name, count in counts.items()}


def _buckets(counts: dict[str, Any]) -> dict[int, int]:
    return {int(bucket): count for bucket, count in counts.items()}
