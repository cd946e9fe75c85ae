"""Which records of a batch would overwrite good values: those that lack what is mapped, or have other types there."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kasparro.core.errors import DriftError
from kasparro.ingestion.drift.accepted import is_within
from kasparro.ingestion.drift.chance import at_least
from kasparro.ingestion.drift.expected import Expected, Needed, Typed, Way
from kasparro.ingestion.drift.findings import Kind, Shift
from kasparro.ingestion.drift.from_payloads import shown
from kasparro.ingestion.drift.moves import Move
from kasparro.ingestion.drift.parts import Part
from kasparro.ingestion.drift.tallies import Place, Tally
from kasparro.ingestion.drift.thresholds import CHANCE
from kasparro.ingestion.source import Defect
from kasparro.schemas.configuration.drift import DriftPolicies, Policy

CODE: Final = "drift"
Violations = dict[int, Defect]
"""By ordinal, why a record is quarantined."""


@dataclass(slots=True)
class Counted:
    """What a run has of one field: `size` records where it may stand or that have values, and those at fault."""

    size: int = 0
    odd: Tally = field(default_factory=Tally)
    shift: Shift | None = None
    sure: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """Fields of which records are quarantined at once, without asking how probable it is: by path, the finding's kind.

    What is told of an object or a list stands for all that is in it.
    """

    missing: dict[str, Kind] = field(default_factory=dict[str, Kind])
    changed: Collection[str] = ()
    moves: Sequence[Move] = ()


class Guard:
    """Judges batch after batch of one run. What it has held back once, it holds back to the run's end."""

    def __init__(self, source: str, expected: Expected, policies: DriftPolicies, held: Held) -> None:
        self._source = source
        self._policies = policies
        self._expected = expected
        self._missing: dict[str, Kind] = {
            path: kind for path in expected.needed for top, kind in held.missing.items() if is_within(path, top)
        }
        self._changed = {path for path in expected.typed if any(is_within(path, top) for top in held.changed)}
        self._by_parent: dict[Way, list[Needed]] = defaultdict(list)
        for needed in expected.needed.values():
            self._by_parent[needed.parent].append(needed)
        self.lacking: dict[str, Counted] = {}
        """By path of a needed field."""
        self.odd: dict[str, Counted] = {}
        """By path of a field that is held back for its types."""
        self.moved: dict[str, Counted] = {}
        """By a rename of a field that only some records had."""
        self.moves = {move.field: move for move in held.moves}
        """Those renames for which records are held back."""

    @property
    def held_missing(self) -> frozenset[str]:
        """Needed fields for whose lack records are held back."""
        return frozenset(self._missing)

    def share(self, path: str) -> float:
        """The share of accepted records that have a needed field."""
        return self._expected.needed[path].share

    def holds(self, kind: str, path: str) -> bool:
        """Whether records are held back for such a finding about a path."""
        if kind == "type_changed":
            return path in self._expected.typed
        if any(is_within(move.old, path) for move in self.moves.values()):
            return True
        return any(counted.odd.count and is_within(each, path) for each, counted in self.lacking.items())

    def judge(
        self,
        parts: Sequence[Part],
        *,
        kind_of: Callable[[str], Kind] | None,
        changes: Iterable[tuple[str, Shift]],
        moves: Iterable[Move] = (),
    ) -> Violations:
        """The records of a batch to hold back. Raises DriftError where the source says `fail`.

        `kind_of` tells whether a field that is lacking has gone or has another name; without it, only what is held
        already is. `changes` are typed fields that are found to have changed by now, `moves` fields that have moved.
        """
        violations: Violations = {}
        for path, shift in changes:
            if path in self._expected.typed and path not in self._changed:
                self._changed.add(path)
                self.odd.setdefault(path, Counted()).shift = shift
        for path in sorted(self._changed):
            self._judge_types(parts, self._expected.typed[path], violations)
        for parent, needed in self._by_parent.items():
            self._judge_missing(parts, parent, needed, kind_of, violations)
        self.moves.update((move.field, move) for move in moves)
        for move in self.moves.values():
            self._judge_moved(parts, move, violations)
        return violations

    def _judge_missing(
        self,
        parts: Sequence[Part],
        parent: Way,
        needed: Sequence[Needed],
        kind_of: Callable[[str], Kind] | None,
        violations: Violations,
    ) -> None:
        found = [(part, *part.lacking(parent, needed)) for part in parts]
        size = sum(count for _, count, _ in found)
        for each in needed:
            lacking = [
                (part, position)
                for part, _, paths in found
                for position in paths.get(each.path, ())
                if not each.others or not part.has_any(position, each.others)
                if not _is_told(violations.get(part.ordinal(position)), each.path)
            ]
            counted = self.lacking.setdefault(each.path, Counted())
            counted.size += size
            _count(counted.odd, lacking, ["(missing)"] * len(lacking))
            if lacking and self._holds_missing(each, len(lacking), size, kind_of):
                kind = self._missing[each.path]
                self._require(kind, f"{len(lacking):,} of {size:,} records of a batch have no {each.path}")
                defect = Defect(CODE, _missing_message(each), each.path)
                violations.update({part.ordinal(position): defect for part, position in lacking})

    def _holds_missing(self, needed: Needed, lacking: int, size: int, kind_of: Callable[[str], Kind] | None) -> bool:
        """Whether these records are held back for it: it is known to be drift, or more than chance gives; or all of a
        batch lack what each accepted record had, be it a single one.
        """
        counted = self.lacking[needed.path]
        if needed.path not in self._missing:
            if kind_of is None:
                return False
            known = (needed.absent, needed.looked)
            chance = min(at_least(lacking, size, *known), at_least(counted.odd.count, counted.size, *known))
            if chance >= CHANCE and not (needed.absent == 0 and lacking == size):
                return False
            counted.sure = max(counted.sure, 1 - chance)
            kind = kind_of(needed.path)
            if self._policy(kind) not in {"quarantine", "fail"}:
                return False
            self._missing[needed.path] = kind
        return self._policy(self._missing[needed.path]) in {"quarantine", "fail"}

    def _judge_moved(self, parts: Sequence[Part], move: Move, violations: Violations) -> None:
        if self._policy("field_renamed") not in {"quarantine", "fail"}:
            return
        counted = self.moved.setdefault(move.field, Counted())
        moved = [(part, position) for part in parts for position in move.moved(part)]
        counted.size += sum(map(len, parts))
        _count(counted.odd, moved, ["(missing)"] * len(moved))
        if moved:
            self._require("field_renamed", f"{len(moved):,} records of a batch have another name ({move.field})")
        defect = Defect(CODE, f'there is no "{move.old}", but what seems to be its new name ({move.field})', move.old)
        for part, position in moved:
            violations.setdefault(part.ordinal(position), defect)

    def _judge_types(self, parts: Sequence[Part], typed: Typed, violations: Violations) -> None:
        if self._policy("type_changed") not in {"quarantine", "fail"}:
            return
        counted = self.odd.setdefault(typed.path, Counted())
        for part in parts:
            size, odd = part.odd(typed)
            counted.size += size
            if not odd:
                continue
            _count(counted.odd, [(part, position) for position in odd], list(map(shown, odd.values())))
            self._require("type_changed", f"{len(odd):,} of {size:,} values of {typed.path} are of other types")
            for position, value in odd.items():
                defect = Defect(CODE, _type_message(typed, value), typed.path)
                violations.setdefault(part.ordinal(position), defect)

    def _policy(self, kind: Kind) -> Policy:
        return self._policies.of(kind, mapped=True)

    def _require(self, kind: Kind, what: str) -> None:
        """Raises DriftError where this kind fails a run."""
        if self._policy(kind) == "fail":
            raise drift_error(self._source, kind, what)


def drift_error(source: str, kind: str, what: str) -> DriftError:
    """The error of a run that its source's policy fails."""
    return DriftError(
        f"source {source}: {what}, which is not what was accepted (drift: {{{kind}: fail}})",
        hint="Nothing of this batch was written. `kasparro drift list` shows what was found.",
    )


def _count(tally: Tally, odd: Sequence[tuple[Part, int]], texts: Sequence[str]) -> None:
    if odd:
        ends = ((*odd[0], texts[0]), (*odd[-1], texts[-1]))
        first, last = (Place(part.ordinal(position), part.locator(position), text) for part, position, text in ends)
        tally.add(len(odd), first, last)


def _is_told(defect: Defect | None, path: str) -> bool:
    """Whether a record is held back for the type of what a field stands in: then that it lacks the field says nothing
    more."""
    return defect is not None and defect.field not in {None, path} and is_within(path, defect.field or "")


def _missing_message(needed: Needed) -> str:
    return f'there is no "{needed.path}", which {needed.share:.0%} of the accepted records have'


def _type_message(typed: Typed, value: Any) -> str:
    known = " or ".join(_FAMILIES.get(name, name) for name in sorted(typed.known))
    return f'there is "{shown(value)}" at "{typed.path}", where accepted records have {known}'


_FAMILIES: Final = {
    "number": "a number", "boolean": "true or false", "object": "an object", "array": "a list", "text": "text",
    "text number": "text that is a number", "text boolean": "text that is true or false", "time": "a time",
}  # fmt: skip
