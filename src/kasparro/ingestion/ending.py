"""When a run ends before its source does: asked to stop, or out of time. Gently first; if that takes long, at once.

Gently: at a batch's edge, with the batch in hand committed. At once: its connections are cut off, so that the server
rolls back what was not committed. Durations are measured by the monotonic clock: a wall clock that jumps ends nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar

from kasparro.core.errors import (
    DeadlineError,
    KasparroError,
    PassExpiredError,
    SourceError,
    StoppedError,
    SystemicError,
)
from kasparro.ingestion.http.contract import LONGEST_PAUSE_SECONDS

STOP_GRACE_SECONDS: Final = 20.0
"""Within this a run that is asked to stop has ended, whatever the source and the database do."""
_LONGEST_RESERVE_SECONDS: Final = 8.0
_RESERVE_SHARE: Final = 0.25
_TURNS: Final = 8
"""As many fit into the reserve; half of them are used, the rest is for leaving the process."""
T = TypeVar("T")


class Turn(IntEnum):
    """Who is given up when, at once: reading; then the recording of how the run ended; then whatever is left."""

    READING = 0
    RECORDING = 2
    ALL = 3


def reserve_of(grace_seconds: float) -> float:
    """What is kept of the grace for ending at once and for leaving the process."""
    return min(_LONGEST_RESERVE_SECONDS, grace_seconds * _RESERVE_SHARE)


class Ending:
    """Whether one run is to end, and how. Made by `watching`.

    `asked`: at the next batch's edge, for `reason`; `at_once`: by giving up what is in hand.
    """

    def __init__(self, *, grace_seconds: float) -> None:
        reserve = reserve_of(grace_seconds)
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self.reason: KasparroError | None = None
        self.cut_off_lanes: Callable[[], None] = _nothing_to_cut_off
        self._patience_seconds = grace_seconds - reserve
        self._turn_seconds = reserve / _TURNS

    def require_goes_on(self) -> None:
        """Raises the reason of the end once the run is asked to."""
        if self.reason is not None:
            raise self.reason

    def why(self) -> KasparroError:
        """The reason of the end; there must be one."""
        assert self.reason is not None
        return self.reason

    async def obeyed(self, work: Coroutine[Any, Any, T], cut_off: Callable[[], None], *, turn: Turn) -> T:
        """What the work comes to. At once, when it is its turn, `cut_off` ends its connections, and it is cancelled.

        Raises what the work raises, or the reason of the end when it was cut off.
        """
        task, waiting = asyncio.create_task(work), asyncio.create_task(self._wait_for_turn(turn))
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self.why()
        finally:
            waiting.cancel()
            if not task.done():
                cut_off()
                task.cancel()
                task.add_done_callback(_forget)
                await asyncio.wait({task}, timeout=self._turn_seconds)

    async def watch(self, stop: asyncio.Event, at_once: asyncio.Event, deadline_seconds: float | None) -> None:
        """Turn what comes from outside, and time, into an end; until cancelled."""
        await _wait(stop, deadline_seconds)
        self.reason = _reason(stop, deadline_seconds)
        self.asked.set()
        await _wait(at_once, self._patience_seconds)
        self.at_once.set()

    async def _wait_for_turn(self, turn: Turn) -> None:
        await self.at_once.wait()
        await asyncio.sleep(turn * self._turn_seconds)


@asynccontextmanager
async def watching(
    stop: asyncio.Event, at_once: asyncio.Event, *, grace_seconds: float, deadline_seconds: float | None
) -> AsyncGenerator[Ending]:
    """The ending of a run that begins now: by `stop`, or `deadline_seconds` from now."""
    ending = Ending(grace_seconds=grace_seconds)
    watch = asyncio.create_task(ending.watch(stop, at_once, deadline_seconds))
    try:
        yield ending
    finally:
        watch.cancel()


def not_before(error: KasparroError, now: datetime) -> datetime | None:
    """When the server wants to be asked again, if it said so, but within a day."""
    seconds = error.retry_after_seconds if isinstance(error, SourceError) else None
    return None if seconds is None else now + timedelta(seconds=min(seconds, LONGEST_PAUSE_SECONDS))


def state_after(error: KasparroError) -> str:
    """The state of a run that such an error has ended."""
    if isinstance(error, SystemicError):
        return "systemic"
    if isinstance(error, StoppedError):
        return "cancelled"
    return "interrupted" if isinstance(error, PassExpiredError) else "failed"


def _reason(stop: asyncio.Event, deadline_seconds: float | None) -> KasparroError:
    if stop.is_set() or deadline_seconds is None:
        return StoppedError("stopped before the end; the next run goes on from the last committed batch")
    return DeadlineError(
        f"not done within the {deadline_seconds:g} s that a run may take; the next run goes on from its last batch",
        hint="give it more with KASPARRO_RUN_DEADLINE_SECONDS, or with `deadline:` in the configuration of the source",
    )


async def _wait(event: asyncio.Event, timeout_seconds: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return


def _nothing_to_cut_off() -> None:
    """As long as there are no lanes."""


def _forget(task: "asyncio.Task[Any]") -> None:
    """What a task raises after it was given up is nobody's any more."""
    if not task.cancelled():
        task.exception()
