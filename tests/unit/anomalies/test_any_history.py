"""Whatever a history holds, a run can be judged: nothing raises, every number is one, every range is in order."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.services.anomalies.facts import MEASURES, RunFacts
from kasparro.services.anomalies.judge import judge

_COUNTS = st.one_of(st.integers(0, 50), st.integers(0, 2**53))
_STATES = st.sampled_from(["succeeded", "succeeded", "succeeded", "partial", "failed", "interrupted", "cancelled"])
_SOME = st.fixed_dictionaries(
    {
        "state": _STATES,
        "wait_seconds": st.one_of(st.just(3600.0), st.floats(-100_000, 10_000_000)),
        "seconds": st.floats(0, 1e7),
        "inserted": _COUNTS,
        "updated": _COUNTS,
        "unchanged": _COUNTS,
        "rejected": _COUNTS,
        "size_bytes": _COUNTS,
        "full": st.booleans(),
        "resumes": st.booleans(),
        "mapping_version": st.integers(1, 2),
    }
)


def made(drawn: list[dict[str, Any]]) -> list[RunFacts]:
    runs, moment = list[RunFacts](), datetime(2026, 3, 1, tzinfo=UTC)
    for number, facts in enumerate(drawn, 1):
        wait, seconds, resumes = (facts.pop(name) for name in ("wait_seconds", "seconds", "resumes"))
        moment += timedelta(seconds=wait)
        before = runs[-1] if runs and resumes else None
        fetched = sum(facts[name] for name in ("inserted", "updated", "unchanged", "rejected"))
        runs.append(
            RunFacts(
                id=number, started_at=moment, finished_at=moment + timedelta(seconds=seconds), fetched=fetched,
                pass_id=before.pass_id if before else number, resumes_run_id=before.id if before else None, **facts,
            )
        )  # fmt: skip
    return runs


@settings(max_examples=60, deadline=None)
@given(st.lists(_SOME, min_size=1, max_size=40).map(made))
def test_any_run_can_be_judged_by_any_history(runs: list[RunFacts]) -> None:
    *history, run = runs
    found = judge(history, run)
    assert found == judge(list(reversed(history)), run)
    assert [each.measure for each in found] == sorted({each.measure for each in found}, key=MEASURES.index)
    for each in found:
        assert all(map(math.isfinite, (each.expected_low, each.expected_high, each.seen, each.score)))
        assert 0 <= each.expected_low <= each.expected_high
        assert not each.expected_low <= each.seen <= each.expected_high
        assert each.message


@settings(max_examples=25, deadline=None)
@given(st.lists(_SOME, max_size=8).map(made))
def test_fewer_than_eight_runs_say_nothing(runs: list[RunFacts]) -> None:
    assert runs == [] or judge(runs[:-1], runs[-1]) == []
