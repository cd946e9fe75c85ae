"""Runs cases, and counts what was found: precision and recall."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kasparro.services.anomalies.facts import MEASURES, Anomaly
from kasparro.services.anomalies.judge import judge
from kasparro.services.anomalies.stored import HISTORY_RUNS
from tests.unit.anomalies.case import Case


@dataclass(frozen=True)
class Outcome:
    """What a case gave: found as it must be, found and false, not found."""

    case: Case
    anomalies: Sequence[tuple[int, Anomaly]]

    @property
    def given(self) -> set[tuple[int, str]]:
        return {(place, anomaly.measure) for place, anomaly in self.anomalies}

    @property
    def right(self) -> set[tuple[int, str]]:
        return self.given & self.case.found

    @property
    def false(self) -> set[tuple[int, str]]:
        return self.given - self.case.found - self.case.allowed

    @property
    def lacking(self) -> set[tuple[int, str]]:
        return set(self.case.found) - self.given


def run(case: Case) -> Outcome:
    """What is said of the runs of a case that are judged, each by those before it."""
    count = len(case.runs)
    anomalies = [
        (place - count, anomaly)
        for place in range(count - case.judged, count)
        for anomaly in judge(case.runs[max(0, place - HISTORY_RUNS) : place], case.runs[place])
    ]
    return Outcome(case, anomalies)


def figures(outcomes: Iterable[Outcome]) -> list[tuple[str, int, int, int]]:
    """Of each measure, and of all: how many right, false and lacking."""
    every = list(outcomes)
    return [_row(every, measure) for measure in (*MEASURES, "all")]


def _row(outcomes: Sequence[Outcome], measure: str) -> tuple[str, int, int, int]:
    counts = [
        sum(measure in (found, "all") for outcome in outcomes for _, found in getattr(outcome, name))
        for name in ("right", "false", "lacking")
    ]
    return measure, counts[0], counts[1], counts[2]
