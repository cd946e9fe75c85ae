"""Tries again what may succeed later: exponential backoff with full jitter, never earlier than the server says.

Bounded in tries and in time. A wait that would not fit into what is left of the time is not begun.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from kasparro.ingestion.http.clock import Budget, Clock
from kasparro.ingestion.http.failures import AttemptFailed

_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 30.0
_Answer = TypeVar("_Answer")


class GaveUp(Exception):
    """No answer, and no further try: the last failure, how often it was tried, and why not once more.

    A last try that was cut short says little of the server; then the failure is the one before it.
    """

    def __init__(self, failure: AttemptFailed, tries: int, remark: str) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.tries = tries
        self.remark = remark


Report = Callable[[AttemptFailed, int, float], None]
"""Told of each retry: what failed, the number of the try that failed, and the seconds until the next."""


async def retried(
    attempt: Callable[[int], Awaitable[_Answer]], *, attempts: int, budget: Budget, clock: Clock, report: Report
) -> _Answer:
    """The first answer of `attempt`, which is given its number, from 1. Raises GaveUp."""
    number = 1
    before: AttemptFailed | None = None
    while True:
        try:
            return await attempt(number)
        except AttemptFailed as failure:
            if failure.cut_short and before is not None:
                raise GaveUp(before, number, f"; the last try: {failure.message}") from failure
            if not failure.retryable or number >= attempts:
                raise GaveUp(failure, number, come_back(failure, clock)) from failure
            wait = max(failure.retry_after_seconds or 0.0, backoff_seconds(number, clock))
            if wait > budget.remaining_seconds:
                raise GaveUp(failure, number, _no_time(failure, wait, budget, clock)) from failure
            report(failure, number, wait)
            before = failure
        await clock.sleep(wait)
        number += 1


def backoff_seconds(number: int, clock: Clock) -> float:
    """Full jitter: anything from nothing to a ceiling that doubles with each try."""
    ceiling = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(number - 1, 30))
    return clock.spread(0.0, ceiling)


def come_back(failure: AttemptFailed, clock: Clock) -> str:
    """When the server wants to be asked again, if it said so."""
    seconds = failure.retry_after_seconds
    if seconds is None:
        return ""
    return f"; come back in {seconds:.0f} s{_moment(clock.wall() + seconds)}"


def _no_time(failure: AttemptFailed, wait: float, budget: Budget, clock: Clock) -> str:
    if failure.retry_after_seconds is not None:
        return f"{come_back(failure, clock)}, longer than the {max(budget.remaining_seconds, 0):.0f} s left for retries"
    return f"; no time for another try ({max(budget.remaining_seconds, 0):.1f} s left, {wait:.1f} s to wait)"


def _moment(unix_time: float) -> str:
    try:
        return f" (at {datetime.fromtimestamp(unix_time, UTC):%Y-%m-%dT%H:%M:%SZ})"
    except (ValueError, OverflowError, OSError):
        return ""
