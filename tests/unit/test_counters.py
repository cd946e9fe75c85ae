"""Both equations, and what is said when one fails."""

import pytest

from kasparro.core.errors import ConservationError
from kasparro.schemas.counters import Counters

BALANCED = Counters(
    fetched=28, inserted=1, updated=2, updated_payload=1, unchanged=3, duplicate=4, duplicate_payload=2, rejected=5,
    rejected_new=3, filtered=6, deleted=7, raw_written=1 + 1 + 2 + 7 + 3,
)  # fmt: skip


def changed(**values: int) -> Counters:
    return Counters(**{**BALANCED.as_dict(), **values})


def test_balanced_counters_pass() -> None:
    BALANCED.require_conservation("run 1")
    Counters().require_conservation("nothing at all")


@pytest.mark.parametrize("name", ["inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted"])
@pytest.mark.parametrize("by", [1, -1])
def test_each_outcome_counts_in_the_first_equation(name: str, by: int) -> None:
    wrong = changed(**{name: getattr(BALANCED, name) + by})
    with pytest.raises(ConservationError) as caught:
        wrong.require_conservation("run 7")
    assert caught.value.message.startswith(f"run 7: 28 records fetched, {28 + by} accounted for (off by {by:+d}): ")
    assert f"{name} {getattr(wrong, name)}" in caught.value.message


def test_fetched_is_the_other_side_of_the_first_equation() -> None:
    with pytest.raises(ConservationError, match=r"29 records fetched, 28 accounted for \(off by -1\)"):
        changed(fetched=29).require_conservation("run 7")


@pytest.mark.parametrize("name", ["updated_payload", "duplicate_payload", "rejected_new"])
def test_each_source_of_raw_rows_counts_in_the_second_equation(name: str) -> None:
    with pytest.raises(ConservationError, match=r"p: 14 raw rows written, 15 expected \(off by -1\)"):
        changed(**{name: getattr(BALANCED, name) + 1}).require_conservation("p")


def test_updates_without_a_new_payload_write_no_raw_row() -> None:
    Counters(fetched=5, updated=5).require_conservation("a new mapping")


def test_counters_add_up_one_by_one() -> None:
    numbers = {name: place for place, name in enumerate(Counters().as_dict(), 1)}
    total = Counters(**numbers) + Counters(**numbers)
    assert total.as_dict() == {name: 2 * number for name, number in numbers.items()}
    assert Counters.from_row(total.as_dict()) == total


def test_outcomes_are_the_seven_of_the_equation() -> None:
    assert BALANCED.outcomes() == {
        "inserted": 1, "updated": 2, "unchanged": 3, "duplicate": 4, "rejected": 5, "filtered": 6, "deleted": 7,
    }  # fmt: skip
