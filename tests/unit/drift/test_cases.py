"""Every case of drift: what must be found is found, and nothing false is."""

from pathlib import Path

import pytest

from tests.unit.drift import held_back
from tests.unit.drift.case import Case
from tests.unit.drift.report import TUNING, table
from tests.unit.drift.running import run


@pytest.mark.parametrize("case", TUNING, ids=lambda case: case.name)
def test_finds_what_has_changed_and_nothing_else(case: Case) -> None:
    outcome = run(case)
    assert (outcome.false, outcome.lacking) == (set(), set())


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(TUNING) >= 60
    assert len({case.name for case in TUNING}) == len(TUNING)


def test_the_figures_of_the_cases_held_back_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "drift.md").read_text(encoding="utf-8")
    assert table(held_back.CASES) in page
