"""Records that `where` leaves out because they lack what it reads: a field that has gone looks like that.

No record is held back for it, for some lack such a field rightly: what is told is that many more do than before.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kasparro.ingestion.drift.accepted import is_within, renamed
from kasparro.ingestion.drift.chance import at_least, effect, score, sureness
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.expected import Way, expected_of, possible_ways
from kasparro.ingestion.drift.findings import Finding
from kasparro.ingestion.drift.parts import Part
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.tallies import Place, Tally
from kasparro.ingestion.drift.thresholds import CHANCE, FEWEST_RECORDS, NEARLY_ALL, NULL_EFFECT, SURE_SCORE

Group = frozenset[str]
_OR: Final = " | "


@dataclass(slots=True)
class _Lacking:
    """The records that were filtered and lack all of a group's fields; profiled where there is something to compare."""

    ways: tuple[Way, ...]
    odd: Tally = field(default_factory=Tally)
    profile: Profile = field(default_factory=Profile)


class FilteredOut:
    """What one run has filtered. Of each of `groups`, sets of fields, `where` reads one."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.records = 0
        """How many were filtered."""
        self._groups = {
            group: _Lacking(tuple(way for path in sorted(group) for way in possible_ways(_top(path))))
            for group in groups
            if all(_top(path) and "*" not in path for path in group)
        }

    def count(self, parts: Sequence[Part], *, profiled: bool) -> None:
        """Count filtered records. Without a shape there is nothing that their profile would be compared with."""
        for part in parts:
            self.records += len(part)
            for each in self._groups.values():
                lacking = [position for position in range(len(part)) if not part.has_any(position, each.ways)]
                if lacking:
                    ends = [Place(part.ordinal(at), part.locator(at), "(missing)") for at in (lacking[0], lacking[-1])]
                    each.odd.add(len(lacking), *ends)
                    if profiled:
                        each.profile.absorb(part.some(lacking).profile(each.profile.records))

    def counts(self, accepted: int) -> dict[str, tuple[int, int]]:
        """For the shape: of each group how many records were filtered and lack it, and of how many, `accepted` ones
        included."""
        size = accepted + self.records
        return {_name(group): (each.odd.count, size) for group, each in self._groups.items() if size}

    def findings(self, shape: Shape, accepted: int, rejected: Collection[str]) -> Iterator[tuple[Finding, Profile]]:
        """Fields that nearly all accepted records have, and for whose lack far more are filtered than before; each with
        the profile of these records. `accepted` are those that were not filtered."""
        size = accepted + self.records
        for group, each in self._groups.items():
            path = _path_of(shape, group)
            if path is None or not each.odd.count or min(size, shape.known.records) < FEWEST_RECORDS:
                continue
            sure = _sure(each.odd.count, size, shape.filtered.get(_name(group)))
            if sure is not None:
                yield _finding(shape, path, each, size, sure, rejected), each.profile


def _sure(count: int, size: int, known: tuple[int, int] | None) -> float | None:
    """How sure it is that more records are filtered for it than before; None where that may be usual."""
    if known is None:  # a shape of before this was counted, or another `where`
        return 1.0 if count >= NEARLY_ALL * size else None
    odd, looked = known
    if count == size and (chance := at_least(count, size, odd, looked)) < CHANCE:
        return round(1 - chance, 4)
    more = count * looked > odd * size and effect(count / size, odd / looked) >= NULL_EFFECT
    errors = score(count, size, odd, looked)
    return sureness(errors) if more and errors >= SURE_SCORE else None


def _finding(shape: Shape, path: str, lacking: _Lacking, size: int, sure: float, rejected: Collection[str]) -> Finding:
    """As a rename, where the records that lack the field have another one in its place."""
    for each in compare(shape, lacking.profile, (), rejected):
        if each.kind == "field_renamed" and is_within(path, renamed(each.field, shape.known.fields)[0]):
            return each
    share = round(lacking.odd.count / size, 4)
    return Finding(
        "field_missing", path, {"present": 1.0}, {"present": round(1 - share, 4)}, share, sure,
        {"values": sure, "timing": 1.0}, mapped=False, first=lacking.odd.first, last=lacking.odd.last,
    )  # fmt: skip


def _path_of(shape: Shape, group: Group) -> str | None:
    """The field of a group that nearly all accepted records have; None where there is none, or others would do."""
    needed = expected_of(shape, group).needed
    for path in sorted({_top(each) for each in group}):
        above = [each for each in shape.known.fields if is_within(path, each)]
        if path in shape.known.fields and all(each in needed for each in above):
            return path
    return None


def _top(path: str) -> str:
    """The field, or the list that it stands in."""
    return path.partition("[]")[0]


def _name(group: Group) -> str:
    return _OR.join(sorted(group))
