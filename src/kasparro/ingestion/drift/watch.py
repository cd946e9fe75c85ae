"""Watches one run: looks at each batch once it is transformed, and holds back what would overwrite good values.

It wraps a run's transformer, so that neither the pipeline nor a source knows of it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kasparro.ingestion.drift.accepted import is_within, renamed
from kasparro.ingestion.drift.expected import Expected, Typed, expected_of
from kasparro.ingestion.drift.filtered import FilteredOut
from kasparro.ingestion.drift.findings import Finding, Kind, Shift
from kasparro.ingestion.drift.guard import Guard, Held, Violations, drift_error
from kasparro.ingestion.drift.moves import Move, Moves
from kasparro.ingestion.drift.parts import Part, parts_at, parts_looked_at
from kasparro.ingestion.drift.profile import FieldProfile, Profile
from kasparro.ingestion.drift.quarantine import quarantined
from kasparro.ingestion.drift.readings import family
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.thresholds import FEWEST_RECORDS
from kasparro.ingestion.drift.type_changes import type_change
from kasparro.ingestion.drift.types import is_text
from kasparro.ingestion.source import SourceRecord
from kasparro.ingestion.transform import TransformedBatch
from kasparro.schemas.configuration.drift import DriftPolicies
from kasparro.services.drift import OPEN, Standing, StandingEvent

if TYPE_CHECKING:
    from kasparro.ingestion.job import Transforms

_HOLDING: Final = ("quarantine", "fail")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a source's configuration says: its policies, the paths that a record must have, and all that are read.

    Of each of `alternatives` a record must have one. `tombstone` are the sets of fields of which a record must have one
    to be taken for a deletion; they are among those needed too. `where` are those of which `where` reads one.
    """

    policies: DriftPolicies
    mapped: frozenset[str]
    read: frozenset[str]
    alternatives: tuple[frozenset[str], ...] = ()
    tombstone: tuple[frozenset[str], ...] = ()
    where: tuple[frozenset[str], ...] = ()

    def needed(self, known: Collection[str]) -> frozenset[str]:
        """What a record must have where these fields are known: of alternatives, those that no other one replaces."""
        sole = {
            path for group in self.alternatives for path in group if not any(each in known for each in group - {path})
        }
        return self.mapped | sole


class Watch:
    """What is known of one run's payloads. With `held_back`, fields of which rejects wait, it makes no profile: it only
    holds back what stands already, as requeue needs it. `teaches`: whether a good run teaches the accepted shape.
    """

    def __init__(
        self,
        source: str,
        watched: Watched,
        standing: Standing,
        *,
        held_back: frozenset[str] | None = None,
        teaches: bool = True,
    ) -> None:
        self.watched = watched
        self.standing = standing
        self.teaches = teaches
        self.profile = Profile()
        self.filtered = FilteredOut(watched.where)
        self.moves: Moves | None = None
        """Of fields that only some had; None where nothing was accepted."""
        self._source = source
        self._held_back = held_back
        self._begun: tuple[Shape | None, Expected, Guard] | None = None
        self._telling: Expected | None = None

    @property
    def has_looked(self) -> bool:
        """Whether there was any record to look at."""
        return self.profile.records > 0 or self.filtered.records > 0

    @property
    def shape(self) -> Shape | None:
        """What was accepted."""
        return self._begin()[0]

    @property
    def guard(self) -> Guard:
        """What was held back, and of how many."""
        return self._begin()[2]

    @property
    def rejected_renames(self) -> frozenset[str]:
        """Those that are not to be proposed again."""
        return frozenset(event.field for event in self.standing.events if event.state != OPEN)

    @property
    def open_events(self) -> list[StandingEvent]:
        """The findings that waited when the run began."""
        return [event for event in self.standing.events if event.state == OPEN]

    def look(self, records: Sequence[SourceRecord], first_ordinal: int, batch: TransformedBatch) -> TransformedBatch:
        """The batch with the records that are held back among the rejected. Raises DriftError."""
        if batch.filtered and self.watched.where and self._held_back is None:
            left_out = parts_at(records, first_ordinal, {record.ordinal for record in batch.filtered})
            self.filtered.count(left_out, profiled=self.shape is not None)
        parts = parts_looked_at(
            records, first_ordinal, batch, self._telling_of_deletions() if batch.tombstones else None
        )
        if not parts:
            return batch
        return quarantined(batch, self._judged(parts))

    def old_side(self, kind: str, field: str) -> str:
        """The path that a finding is about; of a rename the one that is missing."""
        return _old_side(kind, field, self.shape)

    def compared(self) -> list[Finding]:
        """What the run as it is by now differs in from what was accepted."""
        from kasparro.ingestion.drift.compare import compare

        if self.shape is None:
            return []
        found = compare(self.shape, self.profile, self.watched.needed(self.profile.fields), self.rejected_renames)
        told = {(each.kind, each.field) for each in found}
        return found + [each for each, _ in self._of_filtered() if (each.kind, each.field) not in told]

    def seen_by(self, finding: Finding) -> Profile:
        """The profile of the records that a finding is told of."""
        return next((profile for found, profile in self._of_filtered() if found == finding), self.profile)

    def _of_filtered(self) -> Iterator[tuple[Finding, Profile]]:
        """What is told of records that are filtered."""
        if self.shape is not None:
            yield from self.filtered.findings(self.shape, self.profile.records, self.rejected_renames)

    def _telling_of_deletions(self) -> Expected:
        """Fields without which, or with values of other types in which, no record is taken for a deletion."""
        if self._telling is None:
            nothing = Expected({}, {})
            self._telling = nothing if self.shape is None else expected_of(self.shape, (), self.watched.tombstone)
        return self._telling

    def _judged(self, parts: Sequence[Part]) -> Violations:
        _, expected, guard = self._begin()
        if self._held_back is not None:
            return guard.judge(parts, kind_of=None, changes=())
        profile = self._profiled(parts)
        changes = self._changes(expected, profile)
        violations = guard.judge(parts, kind_of=self._kind_of, changes=changes, moves=self._moved(profile))
        if self.watched.policies.fails:
            self._require_accepted()
        return violations

    def _profiled(self, parts: Sequence[Part]) -> Profile:
        """The profile of one batch, added to the run's; records are numbered from the run's own first."""
        batch = Profile()
        for part in parts:
            batch.absorb(part.profile(self.profile.records + batch.records))
        self.profile.absorb(batch)
        return batch

    def _kind_of(self, path: str) -> Kind:
        """Whether a needed field that is lacking has gone, or has another name, where that makes a difference."""
        policies = self.watched.policies
        if policies.of("field_missing", mapped=True) == policies.of("field_renamed", mapped=True):
            return "field_missing"
        renames = [self.old_side(each.kind, each.field) for each in self.compared() if each.kind == "field_renamed"]
        return "field_renamed" if any(is_within(path, old) for old in renames) else "field_missing"

    def _moved(self, batch: Profile) -> list[Move]:
        """Fields that only some had, and that the run, or the batch, has under another name."""
        if self.moves is None or self.watched.policies.of("field_renamed", mapped=True) not in _HOLDING:
            return []
        return self.moves.find((self.profile, batch), self.guard.moves, self.rejected_renames)

    def _changes(self, expected: Expected, batch: Profile) -> Iterator[tuple[str, Shift]]:
        """Typed fields that most values of the run, or of the batch, have in other types."""
        if self.shape is None or self.watched.policies.of("type_changed", mapped=True) not in _HOLDING:
            return
        for path, typed in expected.typed.items():
            if path in batch.fields and _has_unknown(batch.fields[path], typed):
                before = self.shape.known.fields[path]
                sides = [side.fields[path] for side in (self.profile, batch) if side.records >= FEWEST_RECORDS]
                shift = next((found for side in sides if (found := type_change(before, side)) is not None), None)
                if shift is not None:
                    yield path, shift

    def _require_accepted(self) -> None:
        """Raises DriftError where anything is found that the source's policies fail a run for."""
        for finding in self.compared():
            if self.watched.policies.of(finding.kind, mapped=finding.mapped) == "fail":
                raise drift_error(self._source, finding.kind, f"{finding.field}: {finding.kind.replace('_', ' ')}")

    def _begin(self) -> tuple[Shape | None, Expected, Guard]:
        if self._begun is None:
            stored = self.standing.shape
            shape = None if stored is None else Shape.read(stored)
            expected = (
                Expected({}, {})
                if shape is None
                else expected_of(shape, self.watched.mapped, self.watched.alternatives)
            )
            policies = self.watched.policies if self._held_back is None else _without_failing(self.watched.policies)
            if shape is not None:
                self.moves = Moves(shape, expected, self.watched.mapped, self.watched.alternatives)
            guard = Guard(self._source, expected, policies, self._held(shape))
            self._begun = shape, expected, guard
        return self._begun

    def _held(self, shape: Shape | None) -> Held:
        """What records are held back for without further evidence: open findings, and rejects that wait."""
        missing: dict[str, Kind] = dict.fromkeys(self._held_back or (), "field_missing")
        changed = set(self._held_back or ())
        for event in self.open_events:
            if event.kind in {"field_missing", "field_renamed"}:
                kind: Kind = "field_renamed" if event.kind == "field_renamed" else "field_missing"
                missing[_old_side(event.kind, event.field, shape)] = kind
            elif event.kind == "type_changed":
                changed.add(event.field)
        renames = [event.field for event in self.open_events if event.kind == "field_renamed"]
        moves = [] if self.moves is None else [move for each in renames if (move := self.moves.of(each)) is not None]
        return Held(missing, changed, moves)


class WatchedTransformer:
    """A transformer whose batches are looked at."""

    def __init__(self, inner: "Transforms", watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        """As the inner one; raises DriftError besides."""
        return self._watch.look(records, first_ordinal, self._inner.transform(records, first_ordinal))


def _old_side(kind: str, field: str, shape: Shape | None) -> str:
    if kind != "field_renamed":
        return field
    return renamed(field, () if shape is None else shape.known.fields)[0]


def _has_unknown(found: FieldProfile, typed: Typed) -> bool:
    """Whether any value is of a family that was not there: a cheap look, before types are compared."""
    kinds = {kind for kind in found.types if kind not in {"null", "string"}}
    kinds |= {family(reading) for reading in found.values.readings if is_text(reading)}
    return not kinds <= typed.known


def _without_failing(policies: DriftPolicies) -> DriftPolicies:
    """The same, where what would fail a run is held back."""
    kinds = ("field_missing", "type_changed", "field_renamed")
    return policies.model_copy(update={kind: "quarantine" for kind in kinds if getattr(policies, kind) == "fail"})
