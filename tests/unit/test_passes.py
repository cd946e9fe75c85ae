"""Which checkpoints mean an open pass, and what is left to read of it."""

import pytest

from kasparro.ingestion.passes import OpenPass, PartitionPlan, find_open, fresh
from kasparro.schemas.batches import LaneState
from kasparro.services.checkpoints import Checkpoint


def lane(
    partition: str, number: int, *, pass_id: int = 7, seq: int = 0, ordinal: int = 0, run_id: int = 70
) -> Checkpoint:
    cursor = {"position": ordinal} if ordinal else None
    return Checkpoint(partition, number, pass_id, run_id, seq, ordinal, cursor, None)


def settled(partition: str, pass_id: int) -> Checkpoint:
    return Checkpoint.settled(partition, pass_id=pass_id, run_id=1, state={"of": pass_id}, coverage="full")


def plan(name: str, of: int | None, ordinal: int, *lanes: LaneState) -> PartitionPlan:
    state = None if of is None else {"of": of}
    return PartitionPlan(name, state, {"position": ordinal} if ordinal else None, ordinal, list(lanes))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [settled("a", 7)],
        [settled("a", 7), lane("a", 0, seq=3, ordinal=9)],
        [settled("a", 7), lane("a", 0), lane("a", 1), settled("b", 7), lane("b", 0), lane("b", 1)],
        [settled("gone", 3), settled("a", 7), lane("a", 0)],
    ],
    ids=["nothing", "no lanes", "finished", "two finished", "a partition of an older pass"],
)
def test_no_pass_is_open(rows: list[Checkpoint]) -> None:
    assert find_open(rows) is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [lane("a", 0)],
            [plan("a", None, 0, LaneState(0, 1, 0))],
            id="begun, nothing committed",
        ),
        pytest.param(
            [lane("a", 0, seq=2, ordinal=6)],
            [plan("a", None, 6, LaneState(0, 3, 6))],
            id="two batches",
        ),
        pytest.param(
            [settled("a", 5), lane("a", 0, seq=2, ordinal=6)],
            [plan("a", 5, 6, LaneState(0, 3, 6))],
            id="an older pass is settled",
        ),
        pytest.param(
            [lane("a", 0, seq=4, ordinal=9), lane("a", 1, seq=1, ordinal=3), lane("a", 2, seq=3, ordinal=6)],
            [plan("a", None, 3, LaneState(0, 5, 9), LaneState(1, 2, 3), LaneState(2, 4, 6))],
            id="from the lane that is furthest behind",
        ),
        pytest.param(
            [lane("a", 0, seq=4, ordinal=9), lane("a", 1)],
            [plan("a", None, 0, LaneState(0, 5, 9), LaneState(1, 1, 0))],
            id="a lane that has nothing yet",
        ),
        pytest.param(
            [settled("a", 7), lane("a", 0, ordinal=5), settled("b", 5), lane("b", 0, ordinal=2), lane("c", 0)],
            [plan("b", 5, 2, LaneState(0, 1, 2)), plan("c", None, 0, LaneState(0, 1, 0))],
            id="only the open partitions",
        ),
        pytest.param(
            [settled("a", 8), lane("a", 0, ordinal=5)],
            [plan("a", 8, 5, LaneState(0, 1, 5))],
            id="settled by another pass",
        ),
    ],
)
def test_what_is_left_of_an_open_pass(rows: list[Checkpoint], expected: list[PartitionPlan]) -> None:
    found = find_open(rows)
    assert found is not None
    assert found.partitions == expected
    assert (found.pass_id, found.run_id, found.full_refresh) == (7, 70, False)


def test_open_pass_names_all_its_partitions_and_counts_all_its_lanes() -> None:
    found = find_open([settled("a", 7), lane("a", 0), lane("a", 1), lane("b", 0), lane("b", 1), settled("old", 2)])
    assert found is not None
    assert (found.names, found.lane_rows) == ({"a", "b"}, 4)


def open_pass() -> OpenPass:
    found = find_open([settled("a", 5), lane("a", 0, seq=1, ordinal=3)])
    assert found is not None
    return found


@pytest.mark.parametrize("text", [None, "{}", '{"full_refresh": false}'])
def test_ordinary_pass_is_resumed_as_it_is(text: str | None) -> None:
    assert open_pass().as_planned(text) == open_pass()


def test_full_refresh_is_kept_by_whoever_resumes_it() -> None:
    planned = open_pass().as_planned('{"full_refresh": true}')
    assert planned.full_refresh
    assert planned.partitions == [plan("a", None, 3, LaneState(0, 2, 3))]


def test_fresh_pass_begins_with_what_the_last_one_left_behind() -> None:
    rows = [settled("a", 5), lane("a", 0, seq=4, ordinal=9), settled("gone", 5)]
    assert fresh(rows, ["a", "b"], lanes=2, full_refresh=False) == [
        plan("a", 5, 0, LaneState(0, 0, 0), LaneState(1, 0, 0)),
        plan("b", None, 0, LaneState(0, 0, 0), LaneState(1, 0, 0)),
    ]


def test_full_refresh_begins_with_nothing() -> None:
    assert fresh([settled("a", 5)], ["a"], lanes=1, full_refresh=True) == [plan("a", None, 0, LaneState(0, 0, 0))]
