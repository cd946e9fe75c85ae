"""What a watched run comes to: findings to store, those that are over, and what is accepted from then on. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from kasparro.core.canonical import storable_text
from kasparro.core.masking import mask_text
from kasparro.ingestion.drift.accepted import is_within, renamed, seen_fields, with_accepted
from kasparro.ingestion.drift.findings import Finding, Kind, Shift, example_text
from kasparro.ingestion.drift.guard import Counted
from kasparro.ingestion.drift.moves import Move
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.tallies import Place
from kasparro.ingestion.drift.thresholds import CHANCE, FEWEST_COMPARED, FEWEST_RECORDS, LEARNED_RECORDS
from kasparro.ingestion.drift.types import filled
from kasparro.ingestion.drift.watch import Watch
from kasparro.ingestion.source import Json
from kasparro.schemas.configuration.drift import Policy
from kasparro.services.drift import FoundDrift, StandingEvent

_OF_PRESENCE: Final = ("field_missing", "field_renamed")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A finding that is accepted as soon as it is stored: by a policy, or because the mapping is right already."""

    kind: Kind
    field: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`renewed` are open findings that the run has met again, without enough records to find them anew; `gone` those
    that are over, with the reason; `answered` those that the mapping has an answer to by now, with what it is; `shape`
    what is accepted from then on, None where that stays.
    """

    found: list[FoundDrift] = field(default_factory=list[FoundDrift])
    accepted: list[Acceptance] = field(default_factory=list[Acceptance])
    renewed: list[int] = field(default_factory=list[int])
    gone: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    answered: list[tuple[StandingEvent, str]] = field(default_factory=list[tuple[StandingEvent, str]])
    shape: Json | None = None

    def of_bad_run(self) -> "Verdict":
        """The same for a run that is not good after all: it accepts and teaches nothing."""
        found = [each for each in self.found if each.policy != "accept"]
        return replace(self, found=found, accepted=[], answered=[], shape=None)


def conclude(watch: Watch, *, well: bool) -> Verdict:
    """The verdict on a run that ended `well` or not; one that did not teaches nothing, and ends no finding."""
    if not watch.has_looked:
        return Verdict()
    compared = _with_types_held(watch, [_with_examples(watch, each) for each in watch.compared()])
    compared = _without_moved(watch, compared)
    renewed, more = _held_back(watch, compared)
    found = [*compared, *more]
    verdict = Verdict([_to_store(watch, each) for each in found], renewed=renewed)
    if not well:
        return verdict.of_bad_run()
    answered = list(_answered(watch, found))
    gone = list(_gone(watch, found, [*renewed, *(event.id for event, _ in answered)]))
    if not watch.teaches:
        return replace(verdict.of_bad_run(), gone=gone)
    accepted = [each for finding in found if (each := _acceptance(watch, finding)) is not None]
    shape = _shape(watch, verdict, accepted, len(gone) + len(answered))
    return replace(verdict, accepted=accepted, gone=gone, answered=answered, shape=shape)


def _with_examples(watch: Watch, finding: Finding) -> Finding:
    """A missing field with the first and last record that lacks it, where that is known."""
    counted = watch.guard.lacking.get(finding.field)
    if finding.kind != "field_missing" or counted is None or not counted.odd.count:
        return finding
    return replace(finding, first=counted.odd.first, last=counted.odd.last)


def _with_types_held(watch: Watch, findings: list[Finding]) -> list[Finding]:
    """Without shifts of fields that are held back for their types: that is told of as such."""
    held = {path for path, counted in watch.guard.odd.items() if counted.odd.count}
    return [each for each in findings if each.kind != "value_shift" or each.field not in held]


def _without_moved(watch: Watch, findings: list[Finding]) -> list[Finding]:
    """Without what else is told of fields of which records are held back for a rename: it stands for both names."""
    moves = [watch.guard.moves[each] for each, counted in watch.guard.moved.items() if counted.odd.count]
    return [each for each in findings if not any(_is_told_by(move, each) for move in moves)]


def _is_told_by(move: Move, finding: Finding) -> bool:
    if finding.kind in {"field_missing", "value_shift"}:
        return is_within(finding.field, move.old)
    return finding.kind == "field_added" and is_within(finding.field, move.new)


def _held_back(watch: Watch, compared: list[Finding]) -> tuple[list[int], list[Finding]]:
    """What records were held back for and comparing does not tell: open findings met again, and new ones."""
    renewed: set[int] = set()
    more: list[Finding] = []
    guard = watch.guard
    for path in sorted(guard.held_missing):
        counted = guard.lacking.get(path)
        if counted is None or not counted.odd.count or _is_of_odd(watch, path):
            continue
        if not _is_told(watch, compared, path, _OF_PRESENCE):
            events = _standing(watch, path, _OF_PRESENCE)
            renewed.update(event.id for event in events)
            more += [] if events else [_missing(path, counted, guard.share(path))]
    for rename, counted in sorted(guard.moved.items()):
        if counted.odd.count and not any(_key(each) == ("field_renamed", rename) for each in compared):
            events = [event.id for event in watch.open_events if event.field == rename]
            renewed.update(events)
            more += [] if events or watch.moves is None else [_moved(watch.moves.findings[rename], counted)]
    for path, counted in sorted(guard.odd.items()):
        if counted.odd.count and not _is_told(watch, compared, path, ("type_changed",)):
            events = _standing(watch, path, ("type_changed",))
            renewed.update(event.id for event in events)
            more += [] if events or counted.shift is None else [_changed(path, counted, counted.shift)]
    return sorted(renewed), more


def _is_of_odd(watch: Watch, path: str) -> bool:
    """Whether records are held back for the type of what a field stands in."""
    return any(
        counted.odd.count and path != each and is_within(path, each) for each, counted in watch.guard.odd.items()
    )


def _is_told(watch: Watch, findings: Iterable[Finding], path: str, kinds: Iterable[str]) -> bool:
    """Whether a finding tells of a field, of what it stands in, or of what stands in it."""
    olds = [watch.old_side(each.kind, each.field) for each in findings if each.kind in kinds]
    return any(is_within(path, old) or is_within(old, path) for old in olds)


def _standing(watch: Watch, path: str, kinds: Iterable[str]) -> list[StandingEvent]:
    events = [event for event in watch.open_events if event.kind in kinds]
    return [event for event in events if is_within(path, watch.old_side(event.kind, event.field))]


def _missing(path: str, counted: Counted, share: float) -> Finding:
    lacking = counted.odd.count / counted.size
    sure = round(counted.sure, 4)
    return Finding(
        "field_missing", path, {"present": round(share, 4)}, {"present": round(1 - lacking, 4)}, round(lacking, 4),
        sure, {"values": sure, "timing": 1.0}, mapped=True, first=counted.odd.first, last=counted.odd.last,
    )  # fmt: skip


def _moved(finding: Finding, counted: Counted) -> Finding:
    """A rename that a part of the run has shown, of the whole run."""
    share = round(counted.odd.count / counted.size, 4)
    return replace(finding, share=share, first=counted.odd.first, last=counted.odd.last)


def _changed(path: str, counted: Counted, shift: Shift) -> Finding:
    parts = {"name": 1.0, "type": round(shift.type, 4), "values": shift.sure}
    share = round(counted.odd.count / max(1, counted.size), 4)
    return Finding(
        "type_changed", path, {shift.aspect: shift.expected}, {shift.aspect: shift.seen}, share, shift.sure, parts,
        mapped=True, first=counted.odd.first, last=counted.odd.last,
    )  # fmt: skip


def _policy(watch: Watch, finding: Finding) -> Policy:
    """What is done about it; where nobody can tell which records are at fault, none is held back."""
    policy = watch.watched.policies.of(finding.kind, mapped=finding.mapped)
    held = watch.guard.holds(finding.kind, watch.old_side(finding.kind, finding.field))
    return policy if policy != "quarantine" or held else "warn"


def _to_store(watch: Watch, finding: Finding) -> FoundDrift:
    told: dict[str, Any] = asdict(finding)
    first, last = told.pop("first"), told.pop("last")
    del first, last
    return FoundDrift(
        **told,
        policy=_policy(watch, finding),
        first_example=_example(finding.first),
        last_example=_example(finding.last),
        profile=seen_fields(finding.kind, finding.field, watch.seen_by(finding)),
    )


def _example(place: Place | None) -> str | None:
    text = example_text(place)
    return None if text is None else storable_text(mask_text(text))


def _acceptance(watch: Watch, finding: Finding) -> Acceptance | None:
    """Why a finding needs nobody to decide, if it does not."""
    if _policy(watch, finding) == "accept":
        return Acceptance(finding.kind, finding.field, "policy", f"drift: {{{finding.kind}: accept}}")
    was_mapped = any(event.mapped for event in watch.open_events if (event.kind, event.field) == _key(finding))
    answer = _answer(watch, finding.kind, finding.field, was_mapped=was_mapped)
    return None if answer is None else Acceptance(finding.kind, finding.field, "mapping", answer)


def _answered(watch: Watch, found: list[Finding]) -> Iterator[tuple[StandingEvent, str]]:
    """Open findings that the run has not found, and that the mapping has an answer to."""
    keys = {_key(finding) for finding in found}
    for event in watch.open_events:
        answer = _answer(watch, event.kind, event.field, was_mapped=event.mapped)
        if answer is not None and (event.kind, event.field) not in keys:
            yield event, answer


def _answer(watch: Watch, kind: str, path: str, *, was_mapped: bool) -> str | None:
    """What the mapping says to a field that is there no more, where it does not need it now."""
    old = watch.old_side(kind, path)
    if kind not in _OF_PRESENCE or any(is_within(each, old) for each in watch.watched.mapped):
        return None
    if kind == "field_missing":
        return f"the mapping does not need {old} now" if was_mapped else None
    _, new = renamed(path, () if watch.shape is None else watch.shape.known.fields)
    return f"the mapping reads {new}" if any(is_within(each, new) for each in watch.watched.read) else None


def _gone(watch: Watch, found: list[Finding], standing: Collection[int]) -> Iterator[tuple[int, str]]:
    """Open findings that are over, or are told of otherwise now; not those that still stand."""
    keys = {_key(finding) for finding in found}
    compared = watch.shape is not None and min(watch.shape.known.records, watch.profile.records) >= FEWEST_RECORDS
    for event in watch.open_events:
        if (event.kind, event.field) in keys or event.id in standing:
            continue
        old = watch.old_side(event.kind, event.field)
        others = [each for each in found if is_within(old, watch.old_side(each.kind, each.field))]
        if others:
            yield event.id, f"told of as {others[0].kind} {others[0].field}"
        elif (compared and _was_seen(watch, event, old)) or _was_counted(watch, event, old):
            yield event.id, "records are as they were accepted"


def _was_seen(watch: Watch, event: StandingEvent, path: str) -> bool:
    """Whether a run with enough records has enough of the field to say that nothing is wrong with it any more."""
    found = watch.profile.fields.get(path)
    if event.kind == "field_added":
        return found is None
    if found is None:
        return False
    return event.kind in _OF_PRESENCE or filled(found) >= FEWEST_COMPARED


def _was_counted(watch: Watch, event: StandingEvent, path: str) -> bool:
    """Whether none of so many records was at fault that chance does not explain it; small runs can tell that too."""
    counts = watch.guard.lacking if event.kind in _OF_PRESENCE else watch.guard.odd
    counted = counts.get(path)
    if event.kind not in (*_OF_PRESENCE, "type_changed") or counted is None or counted.odd.count or not counted.size:
        return False
    return (1 - min(1.0, event.share)) ** counted.size < CHANCE


def _shape(watch: Watch, verdict: Verdict, accepted: list[Acceptance], closed: int) -> Json | None:
    """What is accepted from then on; None where the run changes nothing about it. `closed`: open findings that end."""
    shape = watch.shape
    filtered = watch.filtered.counts(watch.profile.records)
    if shape is None:
        return Shape.of(watch.profile, filtered).to_json() if watch.profile.records else None
    if accepted:
        profiles = {(found.kind, found.field): found.profile for found in verdict.found}
        stored = shape.to_json()
        for each in accepted:
            stored = with_accepted(stored, each.kind, each.field, profiles[each.kind, each.field])
        return stored
    waits = len(watch.open_events) > closed
    too_few = watch.profile.records < FEWEST_RECORDS <= shape.known.records
    if verdict.found or verdict.renewed or waits or too_few or shape.known.records >= LEARNED_RECORDS:
        return None
    return shape.and_also(watch.profile, filtered).to_json()


def _key(finding: Finding) -> tuple[str, str]:
    return finding.kind, finding.field
