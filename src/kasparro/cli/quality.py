"""What quality checks said, for people and for programs: shared by the commands that show runs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from kasparro.cli.output import Table

if TYPE_CHECKING:
    from kasparro.schemas.quality import QualityResult

_INNER: Final = ("position", "fingerprint")


def quality_as_data(results: "Sequence[QualityResult]") -> list[dict[str, Any]]:
    """Each result for `--json`, as `GET /runs/{id}` has it."""
    return [{name: value for name, value in asdict(each).items() if name not in _INNER} for each in results]


def quality_table(results: "Sequence[QualityResult]") -> Table:
    """One line a check."""
    rows = [(each.level, "passed" if each.passed else "FAILED", each.message) for each in results]
    return Table(("level", "verdict", "what was found"), rows, title="quality checks")


def examples_table(results: "Sequence[QualityResult]") -> Table | None:
    """Records that do not hold to checks that failed; None where there are none."""
    rows = [
        (each.name, example.record_key, list(example.values.values()), example.run_id, example.raw_id)
        for each in results
        if not each.passed
        for example in each.examples
    ]
    columns = ("check", "record", "values", "run_id", "raw_id")
    return Table(columns, rows, title="records that do not hold to them", right=columns[3:]) if rows else None
