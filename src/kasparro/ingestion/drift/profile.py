"""What is known of a run's payloads, field by field. Adding is associative and commutative, memory is bounded."""

import zlib
from dataclasses import dataclass, field
from typing import Final

from kasparro.ingestion.drift.tallies import Tally, absorb_all
from kasparro.ingestion.drift.values import Values

MOST_FIELDS: Final = 512
"""So many field paths are kept, those of the smallest hashes: the same ones in each run."""
ROOT: Final = ""
"""The path of the payload itself."""


@dataclass(slots=True)
class FieldProfile:
    """A field: in how many records it is there at all, with how many values of each JSON type, and sampled values.

    `types` are `null` (empty texts included), `boolean, number, string, object, array`.
    """

    present: Tally = field(default_factory=Tally)
    types: dict[str, Tally] = field(default_factory=dict[str, Tally])
    values: Values = field(default_factory=Values)

    def count(self, kind: str) -> int:
        """How many values of a JSON type there are."""
        tally = self.types.get(kind)
        return 0 if tally is None else tally.count

    def absorb(self, other: "FieldProfile") -> None:
        """Add another's."""
        self.present.absorb(other.present)
        absorb_all(self.types, other.types)
        self.values.absorb(other.values)


@dataclass(slots=True)
class Profile:
    """`first` and `last` are the records' least and largest ordinal; fields were counted in `looked` of the records;
    `bound` is the hash from which paths are unknown, once there were more than MOST_FIELDS.
    """

    records: int = 0
    looked: int = 0
    first: int | None = None
    last: int | None = None
    fields: dict[str, FieldProfile] = field(default_factory=dict[str, FieldProfile])
    bound: int | None = None

    def field(self, path: str) -> FieldProfile:
        """The profile of a field, made where there is none."""
        found = self.fields.get(path)
        if found is None:
            found = self.fields[path] = FieldProfile()
        return found

    def count(self, records: int, looked: int, first: int) -> None:
        """Count records, the first with this ordinal, so many of which are looked at."""
        self.looked += looked
        if records:
            self._span(records, first, first + records - 1)

    def absorb(self, other: "Profile") -> None:
        """Add another's, which stays as it is."""
        self.looked += other.looked
        if other.first is not None and other.last is not None:
            self._span(other.records, other.first, other.last)
        else:
            self.records += other.records
        for path, profile in other.fields.items():
            self.field(path).absorb(profile)
        if other.bound is not None:
            self.bound = other.bound if self.bound is None else min(self.bound, other.bound)
        self.trim()

    def trim(self) -> None:
        """Forget the paths that are too many."""
        hashes = {path: hash_of(path) for path in self.fields}
        if len(hashes) > MOST_FIELDS:
            beyond = sorted(hashes.values())[MOST_FIELDS]
            self.bound = beyond if self.bound is None else min(self.bound, beyond)
        if self.bound is not None:
            self.fields = {path: found for path, found in self.fields.items() if hashes[path] < self.bound}

    def knows(self, path: str) -> bool:
        """Whether the path would be here, had it been in a payload."""
        return self.bound is None or hash_of(path) < self.bound

    def _span(self, records: int, first: int, last: int) -> None:
        self.records += records
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)


def merged(one: Profile, other: Profile) -> Profile:
    """Both together; neither is changed."""
    found = Profile()
    found.absorb(one)
    found.absorb(other)
    return found


def hash_of(path: str) -> int:
    """A hash that is the same everywhere."""
    return zlib.crc32(path.encode("utf-8", "surrogatepass"))


def parent_of(path: str) -> str:
    """The path of the object or list that a field stands in; names are cut at their last dot."""
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]
