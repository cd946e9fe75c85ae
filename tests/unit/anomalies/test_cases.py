"""Every case of anomalies: what must be found is found, and nothing false is."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.anomalies import held_back, held_back_later
from tests.unit.anomalies.case import Case
from tests.unit.anomalies.report import TUNING, table
from tests.unit.anomalies.running import run


@pytest.mark.parametrize("case", TUNING, ids=lambda case: case.name)
def test_finds_what_is_unusual_and_nothing_else(case: Case) -> None:
    outcome = run(case)
    assert (outcome.false, outcome.lacking) == (set(), set())


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    assert len(TUNING) >= 50
    assert len({case.name for case in TUNING}) == len(TUNING)


@pytest.mark.parametrize("cases", [TUNING, held_back.CASES, held_back_later.CASES], ids=["tuning", "first", "later"])
def test_the_figures_of_the_page_are_those_of_the_cases(cases: Sequence[Case]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "anomalies.md").read_text(encoding="utf-8")
    assert table(cases) in page
    assert f"{len(cases)} " in page
