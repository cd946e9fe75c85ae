"""How long to wait, and when to stop trying."""

from collections.abc import Callable

import pytest

from kasparro.ingestion.http.clock import Budget, Clock
from kasparro.ingestion.http.failures import AttemptFailed
from kasparro.ingestion.http.retrying import GaveUp, backoff_seconds, retried
from tests.fix_http import Waits


async def run(*failures: AttemptFailed, attempts: int = 5, total_seconds: float = 100) -> tuple[str, list[float]]:
    """Tries that fail in these ways and then succeed: what came out, and the waits."""
    waits = Waits()
    left = list(failures)

    async def attempt(number: int) -> str:
        if left:
            raise left.pop(0)
        return f"answer {number}"

    budget = Budget(waits.clock(), total_seconds)
    budget.start()
    silent: Callable[[AttemptFailed, int, float], None] = lambda *_: None  # noqa: E731
    try:
        answer = await retried(attempt, attempts=attempts, budget=budget, clock=waits.clock(), report=silent)
    except GaveUp as gave_up:
        return f"{gave_up} x{gave_up.tries}{gave_up.remark}", waits.slept
    return answer, waits.slept


def busy(hint: float | None = None) -> AttemptFailed:
    return AttemptFailed("status", "busy", retryable=True, status=503, retry_after_seconds=hint)


def test_backoff_is_anything_up_to_a_ceiling_that_doubles_and_ends_at_half_a_minute() -> None:
    drawn: list[tuple[float, float]] = []
    clock = Clock(spread=lambda low, high: drawn.append((low, high)) or low)
    for number in (1, 2, 3, 4, 5, 6, 2000):
        assert backoff_seconds(number, clock) == 0.0
    assert drawn == [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 16.0), (0.0, 30.0), (0.0, 30.0)]


def test_chance_stays_between_the_bounds() -> None:
    assert all(0 <= backoff_seconds(2, Clock()) <= 2 for _ in range(100))


async def test_it_goes_on_until_an_answer_comes() -> None:
    assert await run() == ("answer 1", [])
    assert await run(busy(), busy(), busy()) == ("answer 4", [1.0, 2.0, 4.0])


async def test_it_is_bounded_in_tries() -> None:
    assert await run(*[busy()] * 9, attempts=3) == ("busy x3", [1.0, 2.0])
    assert await run(busy(), attempts=1) == ("busy x1", [])


async def test_it_is_bounded_in_time() -> None:
    told = "busy x4; no time for another try (3.0 s left, 8.0 s to wait)"
    assert await run(*[busy()] * 9, total_seconds=10) == (told, [1.0, 2.0, 4.0])


async def test_a_last_try_that_was_cut_short_does_not_hide_what_the_server_did() -> None:
    cut = AttemptFailed("timeout", "no complete answer in 1.7 s", retryable=True, cut_short=True)
    assert await run(busy(), cut) == ("busy x2; the last try: no complete answer in 1.7 s", [1.0])
    assert (await run(cut, attempts=1))[0] == "no complete answer in 1.7 s x1"


async def test_what_cannot_succeed_later_is_not_tried_again() -> None:
    assert await run(busy(), AttemptFailed("tls", "not trusted")) == ("not trusted x2", [1.0])


async def test_it_never_comes_back_before_the_server_wants_it() -> None:
    assert await run(busy(20), busy(0.5)) == ("answer 3", [20.0, 2.0])


async def test_it_gives_up_at_once_when_the_server_wants_more_time_than_there_is() -> None:
    told = "busy x1; come back in 3600 s (at 2027-01-15T09:00:00Z), longer than the 100 s left for retries"
    assert await run(busy(3600)) == (told, [])


async def test_the_end_of_time_is_told_without_a_date() -> None:
    told, _ = await run(busy(1e15))
    assert told.startswith("busy x1; come back in 1000000000000000 s, longer")


@pytest.mark.parametrize("retryable", [True, False])
async def test_other_errors_pass_untouched(retryable: bool) -> None:
    async def attempt(number: int) -> str:
        raise RuntimeError(f"{retryable} {number}")

    clock = Clock()
    with pytest.raises(RuntimeError, match="1"):
        await retried(attempt, attempts=3, budget=Budget(clock, 1), clock=clock, report=lambda *_: None)
