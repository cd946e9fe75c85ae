"""Prints precision and recall over the cases: `python -m tests.unit.anomalies.report [held-back|held-back-later]`."""

import sys
from collections.abc import Sequence

from tests.unit.anomalies import cases_counts, cases_history, cases_other, cases_usual, held_back, held_back_later
from tests.unit.anomalies.case import Case
from tests.unit.anomalies.running import figures, run

TUNING = [*cases_counts.CASES, *cases_history.CASES, *cases_other.CASES, *cases_usual.CASES]


def table(cases: Sequence[Case]) -> str:
    """Precision and recall of each measure, as Markdown."""
    rows = [_row(*row) for row in figures(map(run, cases))]
    return "\n".join(
        ["| measure | right | false | not found | precision | recall |", "|---|---|---|---|---|---|", *rows]
    )


def judged(cases: Sequence[Case]) -> int:
    """How many runs are judged in all."""
    return sum(case.judged for case in cases)


def _row(measure: str, right: int, false: int, lacking: int) -> str:
    return f"| {measure} | {right} | {false} | {lacking} | {_share(right, false)} | {_share(right, lacking)} |"


def _share(right: int, others: int) -> str:
    return "" if right + others == 0 else f"{right / (right + others):.3f}"


def main(arguments: Sequence[str]) -> None:
    """Print the table of the tuning cases, or of others, and what went wrong; with `words`, all that is said."""
    cases = TUNING
    if "held-back" in arguments:
        cases = held_back.CASES
    if "held-back-later" in arguments:
        cases = held_back_later.CASES
    print(f"{len(cases)} cases, {sum(not case.found for case in cases)} without an anomaly, {judged(cases)} runs\n")
    print(table(cases))
    for outcome in map(run, cases):
        if outcome.false or outcome.lacking:
            print(f"\n{outcome.case.name}: false {sorted(outcome.false)}, not found {sorted(outcome.lacking)}")
        if "words" in arguments or outcome.false:
            for place, anomaly in outcome.anomalies:
                print(f"  {outcome.case.name} [{place}] {anomaly.measure} {anomaly.score:.1f}: {anomaly.message}")


if __name__ == "__main__":
    main(sys.argv[1:])
