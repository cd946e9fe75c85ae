"""Renames of mapped fields that only some records have: the new name tells which of them lack the old one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kasparro.ingestion.drift.accepted import renamed
from kasparro.ingestion.drift.expected import Expected, Way, possible_ways, wanted_paths, way_of
from kasparro.ingestion.drift.findings import Finding
from kasparro.ingestion.drift.parts import Part
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.thresholds import DENSE_SHARE, FEWEST_RECORDS, TAIL_SHARE


@dataclass(frozen=True, slots=True)
class Move:
    """A rename `field`. A record has moved that has something at one of `news` and at none of `olds`, which are the old
    name, and what the mapping reads in its place."""

    field: str
    old: str
    new: str
    news: frozenset[Way]
    olds: frozenset[Way]

    def moved(self, part: Part) -> list[int]:
        """The positions of the records that have."""
        return [at for at in range(len(part)) if part.has_any(at, self.news) and not part.has_any(at, self.olds)]


class Moves:
    """Finds renames of the mapped fields of a shape that nobody expects of each record."""

    def __init__(
        self, shape: Shape, expected: Expected, mapped: Collection[str], alternatives: Iterable[Collection[str]]
    ) -> None:
        self._shape = shape
        self._others = {
            path: others
            for path, others in wanted_paths(mapped, alternatives).items()
            if path in shape.known.fields and path not in expected.needed and ".*" not in path and path[-2:] != "[]"
        }
        self.findings: dict[str, Finding] = {}
        """Each rename, by its field, as it was when it was found."""

    def of(self, field: str) -> Move | None:
        """What a rename says of single records; None where it is not of such a field."""
        old, new = renamed(field, self._shape.known.fields)
        if old not in self._others or ".*" in new:
            return None
        others = (way for other in self._others[old] for way in possible_ways(other))
        olds = frozenset((way_of(self._shape.known, old), *others))
        return Move(field, old, new, frozenset(possible_ways(new)), olds)

    def find(self, sides: Iterable[Profile], known: Collection[str], rejected: Collection[str]) -> list[Move]:
        """Those that a run, or a part of it, shows, besides those of `known` fields. Compares where it is worth it: one
        of the fields is rarer, and there are new ones."""
        from kasparro.ingestion.drift.compare import compare

        found: dict[str, Move] = {}
        for side in sides:
            if side.records >= FEWEST_RECORDS and self._may_have_moved(side):
                for finding in compare(self._shape, side, self._others, rejected):
                    move = self.of(finding.field) if finding.kind == "field_renamed" else None
                    if move is not None and move.field not in {*known, *found}:
                        found[move.field] = move
                        self.findings[move.field] = finding
        return list(found.values())

    def _may_have_moved(self, profile: Profile) -> bool:
        is_new = not profile.fields.keys() <= self._shape.known.fields.keys()
        return is_new and any(self._is_rarer(path, profile) for path in self._others)

    def _is_rarer(self, path: str, profile: Profile) -> bool:
        before, after = self._shape.known, profile.fields.get(path)
        share = before.fields[path].present.count / max(1, before.looked)
        if after is None:
            return True
        return share >= DENSE_SHARE and after.present.count / max(1, profile.looked) < share * (1 - TAIL_SHARE / 2)
