"""What chaos tries, and what it takes for a difference."""

from dataclasses import replace

import pytest

from kasparro.cli import chaos
from kasparro.cli.chaos_trials import Attempt, Wanted
from kasparro.cli.output import Table
from kasparro.core.errors import UsageError
from kasparro.ingestion.faults import FaultPlan
from kasparro.ingestion.operations.chaos import Difference, Moment, differences, every_plan, moment
from kasparro.services.reckoning import Pace, Reckoning

WHOLE = Reckoning(
    runs=1, passes=1, unfinished=0, completed=1, batches=5, fetched=23, inserted=18, updated=1, unchanged=0,
    duplicate=2, distinct_rejects=2, digest="aa", recomputed="aa", settled={},
)  # fmt: skip
KILLED = replace(WHOLE, runs=2, batches=6)
"""The same in two runs."""


def test_every_point_kind_batch_and_lane_is_tried() -> None:
    plans = [str(plan) for plan in every_plan(2, 2)]
    assert len(plans) == len(set(plans)) == 2 * 4 * 2 + 4 * 4 * 2 * 2
    assert plans[:3] == ["fetch:error:1", "fetch:error:2", "fetch:timeout:1"]
    assert plans[-2:] == ["committed:disconnect:2", "committed:disconnect:2@1"]
    assert every_plan(0, 2) == []


@pytest.mark.parametrize("source_type", ["api", "csv", "rss"])
def test_interrupted_pass_that_comes_to_the_same_has_no_difference(source_type: str) -> None:
    assert differences(WHOLE, KILLED, source_type) == []


@pytest.mark.parametrize("source_type", ["api", "csv", "rss"])
@pytest.mark.parametrize(
    ("change", "what", "expected"),
    [
        ({"inserted": 17}, "inserted", 18),
        ({"updated": 2}, "updated", 1),
        ({"distinct_rejects": 1}, "distinct rejects", 2),
        ({"digest": "bb", "recomputed": "bb"}, "digest", "aa"),
        ({"unfinished": 1}, "runs that never closed", 0),
        ({"recomputed": "bb"}, "digest of the records themselves", "aa"),
    ],
)
def test_what_is_lost_or_doubled_is_a_difference(
    source_type: str, change: dict[str, int | str], what: str, expected: int | str
) -> None:
    found = replace(KILLED, **change)  # pyright: ignore[reportArgumentType]
    assert differences(WHOLE, found, source_type) == [Difference(what, expected, list(change.values())[-1])]


@pytest.mark.parametrize("change", [{"fetched": 28}, {"unchanged": 5}, {"duplicate": 7}])
def test_what_is_read_again_is_a_difference_within_one_pass(change: dict[str, int]) -> None:
    found = replace(KILLED, **change)  # pyright: ignore[reportArgumentType]
    for source_type, wrong in (("csv", 1), ("api", 1), ("rss", 0)):
        assert len(differences(WHOLE, found, source_type)) == wrong
    begun_anew = replace(found, passes=2)
    assert differences(WHOLE, begun_anew, "api") == []
    assert differences(WHOLE, begun_anew, "csv") == [Difference("passes", 1, 2)]


def test_five_of_six_moments_fall_between_the_first_and_the_last_commit() -> None:
    pace = Pace(first_commit=1.0, last_commit=11.0, finished=12.0, commits=41)
    drawn = [number / 1200 for number in range(1201)]
    moments = [moment(pace, 1, each) for each in drawn]
    between = [each for each in moments if 0 < each.commits < 41]
    assert len(between) == pytest.approx(1000, abs=1)
    assert {each.commits for each in between} == set(range(1, 41))
    assert all(0 <= each.seconds < 0.25 for each in between)
    assert moments[0] == Moment(0, 0.0)
    assert moments[-1].commits > 41
    assert {moment(pace, 0.1, each).commits for each in drawn} == {0, 1, 2, 3, 4}
    assert str(Moment(0, 0.5)) == "0.500 s after the start"
    assert str(Moment(3, 0.25)) == "0.250 s after commit 3"


@pytest.mark.parametrize(
    ("batches", "kills", "asked", "fetched", "records"),
    [
        (2, 0, None, 1600, 200),
        (2, 0, None, 1, 1),
        (2, 0, None, 10**9, 20_000),
        (2, 9, 7, 1600, 7),
        (0, 9, None, 1601, 41),
        (12, 9, None, 4800, 100),
    ],
)
def test_source_is_cut_into_batches_enough(
    batches: int, kills: int, asked: int | None, fetched: int, records: int
) -> None:
    wanted = Wanted.of(batches, 2, kills, seed=None, plans=(), batch_records=asked)
    assert wanted.records_of(fetched, 20_000) == records


def test_given_plans_are_the_only_ones() -> None:
    plan = (FaultPlan("commit", "kill", 3, 1),)
    assert Wanted.of(2, 2, 5, seed=7, plans=[plan], batch_records=None) == Wanted((plan,), 2, 2, 5, 7, None)


def test_attempt_is_named_by_what_was_done() -> None:
    plans = (FaultPlan("load", "timeout", 1), FaultPlan("commit", "kill", 3, 1))
    assert Attempt("s", plans).name == "load:timeout:1,commit:kill:3@1"
    moments = (Moment(0, 0.25), Moment(7, 1.0))
    assert Attempt("s", moments=moments).name == "killed 0.250 s after the start, 1.000 s after commit 7"
    assert Attempt("s").name == "undisturbed"


def test_differences_are_shown_with_what_tries_them_again() -> None:
    lost = (Difference("inserted", 18, 17),)
    found = Attempt("s", (FaultPlan("commit", "kill", 3, 1),), runs=2, differences=lost, command="kasparro chaos s ..")
    fine = Attempt("s", (FaultPlan("commit", "kill", 4),), struck=False, reached=False, runs=1)
    result = chaos._result([found, fine], seed=7)
    assert result.exit_code == 9
    assert result.human is not None
    summary, wrong, again = result.human
    assert isinstance(summary, Table)
    assert isinstance(wrong, Table)
    assert summary.rows == [("s", "commit", "kill", 2, 1, 3, 1)]
    assert wrong.rows == [("s", "commit:kill:3@1", "inserted", "18", "17")]
    assert again == "kasparro chaos s .."


def test_random_kills_are_counted() -> None:
    attempts = [Attempt("s", moments=(Moment(0, 0.1), Moment(1, 0.2)), kills=2, kills_between_commits=1, runs=3)]
    result = chaos._result(attempts, seed=7)
    assert result.exit_code == 0
    assert result.human is not None
    assert result.human[1:] == [
        "2 random moments (seed 7): 2 kills, 1 of them between commits",
        "nothing was lost, doubled or miscounted",
    ]


def test_nothing_is_proved_where_no_fault_was_reached() -> None:
    with pytest.raises(UsageError, match="no fault was reached"):
        chaos._result([Attempt("s", (FaultPlan("commit", "kill", 99),), struck=False, reached=False, runs=1)], seed=7)
