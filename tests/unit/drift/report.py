"""Prints precision and recall over the cases: `python -m tests.unit.drift.report [held-back]`."""

import sys
from collections.abc import Sequence

from tests.unit.drift import cases_fields, cases_renames, cases_shifts, cases_usual
from tests.unit.drift.case import Case
from tests.unit.drift.running import figures, run

TUNING = [*cases_renames.CASES, *cases_fields.CASES, *cases_shifts.CASES, *cases_usual.CASES]


def table(cases: Sequence[Case]) -> str:
    """Precision and recall of each kind, as Markdown."""
    rows = [_row(*row) for row in figures(map(run, cases))]
    return "\n".join(["| kind | right | false | not found | precision | recall |", "|---|---|---|---|---|---|", *rows])


def _row(kind: str, right: int, false: int, lacking: int) -> str:
    return f"| {kind} | {right} | {false} | {lacking} | {_share(right, false)} | {_share(right, lacking)} |"


def _share(right: int, others: int) -> str:
    return "" if right + others == 0 else f"{right / (right + others):.3f}"


def main(arguments: Sequence[str]) -> None:
    """Print the table of the tuning cases, or of those held back, and what went wrong."""
    cases = TUNING
    if "held-back" in arguments:
        from tests.unit.drift import held_back

        cases = held_back.CASES
    print(f"{len(cases)} cases, {sum(not case.found for case in cases)} of them without drift\n")
    print(table(cases))
    for outcome in map(run, cases):
        if outcome.false or outcome.lacking:
            print(f"\n{outcome.case.name}: false {sorted(outcome.false)}, not found {sorted(outcome.lacking)}")


if __name__ == "__main__":
    main(sys.argv[1:])
