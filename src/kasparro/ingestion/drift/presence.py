"""Which fields have gone, and which have come: more than chance would have it."""

from dataclasses import dataclass

from kasparro.ingestion.drift.chance import all_on_one_side
from kasparro.ingestion.drift.profile import ROOT, FieldProfile, Profile, parent_of
from kasparro.ingestion.drift.sampling import STRUCTURE, sampled_ordinals
from kasparro.ingestion.drift.tallies import Place
from kasparro.ingestion.drift.thresholds import CHANCE, DENSE_SHARE, FEWEST_RECORDS, TAIL_SHARE


@dataclass(frozen=True, slots=True)
class Turn:
    """A field that has gone or come.

    `share` is the part of the records that it stood in, or stands in since it came; `moment` is how far the run had
    gone by then, 0 from its first record; `sure` is 1 minus the probability of chance; `elements` are those of a list.
    """

    path: str
    profile: FieldProfile
    share: float
    sure: float
    moment: float = 0.0
    elements: FieldProfile | None = None

    @property
    def content(self) -> FieldProfile:
        """What the field holds: of a list, its elements."""
        return self.elements or self.profile


class Sides:
    """The accepted profile and the run's, with what is known of both."""

    def __init__(self, before: Profile, after: Profile) -> None:
        self.before = before
        self.after = after
        self.paths = sorted(
            path for path in before.fields.keys() | after.fields.keys() if before.knows(path) and after.knows(path)
        )

    def gone(self) -> list[Turn]:
        """Fields that the run has no more, or not since some place in its midst."""
        return [turn for path in self.paths if _counts(path) and (turn := self._gone(path)) is not None]

    def come(self) -> list[Turn]:
        """Fields that were not there before."""
        return [turn for path in self.paths if _counts(path) and (turn := self._come(path)) is not None]

    def parents(self, path: str) -> tuple[int, int]:
        """How many objects there are, before and after, that the field may stand in."""
        parent = parent_of(path)
        if parent not in self.before.fields and parent not in self.after.fields:
            parent = ROOT  # a name with a dot in it
        return objects_at(self.before, parent), objects_at(self.after, parent)

    def _gone(self, path: str) -> Turn | None:
        before, after = self.before.fields.get(path), self.after.fields.get(path)
        size, other_size = self.parents(path)
        if before is None or size < FEWEST_RECORDS:
            return None
        share = min(1.0, before.present.count / size)
        if after is None:
            # where the whole object has gone, so have its fields
            without = other_size if other_size >= FEWEST_RECORDS else self.after.looked if other_size == 0 else 0
        else:
            without = self._tail(path, after, other_size) if share >= DENSE_SHARE else 0
        chance = all_on_one_side(before.present.count, size, without)
        if chance >= CHANCE:
            return None
        moment = 0.0 if after is None else self._moment(after.present.last)
        return Turn(path, before, share, 1 - chance, moment, self.before.fields.get(path + "[]"))

    def _come(self, path: str) -> Turn | None:
        after = self.after.fields.get(path)
        size, other_size = self.parents(path)
        if after is None or path in self.before.fields or other_size < FEWEST_RECORDS:
            return None
        known = size if size >= FEWEST_RECORDS else self.before.looked if size == 0 else 0
        chance = all_on_one_side(after.present.count, other_size, known) if known else 1.0
        if chance >= CHANCE:
            return None
        moment = self._moment(after.present.first)
        since = 0 if after.present.first is None else after.present.first.ordinal
        share = min(1.0, after.present.count / max(1.0, other_size * self._looked_from(since)))
        return Turn(path, after, share, 1 - chance, moment, self.after.fields.get(path + "[]"))

    def _tail(self, path: str, after: FieldProfile, size: int) -> int:
        """How many of the run's objects come behind the last that has the field; 0 where that is no sign."""
        parent = self.after.fields.get(parent_of(path))
        end = self.after.last if parent is None else _last_object(parent)
        if after.present.last is None or end is None:
            return 0
        behind = self._looked_from(after.present.last.ordinal + 1) - self._looked_from(end + 1)
        without = int(behind * size)
        share = 1 - self._moment(after.present.last)
        return without if share >= TAIL_SHARE and without >= FEWEST_RECORDS else 0

    def _looked_from(self, ordinal: int) -> float:
        """The share of the run's records that were looked at which come from here on: more are looked at early on."""
        last = ordinal if self.after.last is None else self.after.last
        return len(sampled_ordinals(STRUCTURE, ordinal, last - ordinal + 1)) / max(1, self.after.looked)

    def _moment(self, place: Place | None) -> float:
        """How far the run had gone at a place."""
        first, last = self.after.first, self.after.last
        return 0.0 if place is None or first is None or last is None else (place.ordinal - first) / (last - first + 1)


def objects_at(profile: Profile, path: str) -> int:
    """How many objects there are at a path, or lists, whose elements are meant."""
    if path == ROOT:
        return profile.looked
    found = profile.fields.get(path)
    return 0 if found is None else found.count("object")


def _last_object(parent: FieldProfile) -> int | None:
    """The ordinal of the last record that has an object there."""
    objects = parent.types.get("object")
    return None if objects is None or objects.last is None else objects.last.ordinal


def _counts(path: str) -> bool:
    """Whether it says something that a field is there: not of elements, nor of names that are data."""
    return not path.endswith(("[]", ".*")) and ".*." not in path
