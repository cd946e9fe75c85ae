"""Runs cases, and counts what was found: precision and recall."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.findings import Finding
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape
from tests.unit.drift.case import Case

KINDS = ("field_added", "field_missing", "field_renamed", "type_changed", "value_shift")


@dataclass(frozen=True)
class Outcome:
    """What a case gave: found as it must be, found and false, not found."""

    case: Case
    findings: Sequence[Finding]

    @property
    def given(self) -> set[tuple[str, str]]:
        return {(finding.kind, finding.field) for finding in self.findings}

    @property
    def right(self) -> set[tuple[str, str]]:
        return self.given & self.case.found

    @property
    def false(self) -> set[tuple[str, str]]:
        return self.given - self.case.found - self.case.allowed

    @property
    def lacking(self) -> set[tuple[str, str]]:
        return set(self.case.found) - self.given


def profile_of(payloads: Sequence[dict]) -> Profile:
    """The profile of a side of a case."""
    return profile_payloads(payloads, [f"case:{number}" for number in range(1, len(payloads) + 1)], 0)


def run(case: Case) -> Outcome:
    """What is found in a case."""
    shape = Shape.read(Shape.of(profile_of(case.before)).to_json())
    return Outcome(case, compare(shape, profile_of(case.after), case.mapped))


def figures(outcomes: Iterable[Outcome]) -> list[tuple[str, int, int, int]]:
    """Of each kind, and of all: how many right, false and lacking."""
    every = list(outcomes)
    return [_row(every, kind) for kind in KINDS] + [_row(every, "all")]


def _row(outcomes: Sequence[Outcome], kind: str) -> tuple[str, int, int, int]:
    counts = [
        sum(kind in (found, "all") for outcome in outcomes for found, _ in getattr(outcome, name))
        for name in ("right", "false", "lacking")
    ]
    return kind, counts[0], counts[1], counts[2]
