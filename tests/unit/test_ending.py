"""Ending a run: gently, at once, by time, and in turns."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kasparro.core.errors import DeadlineError, StoppedError
from kasparro.ingestion.ending import Ending, Turn, reserve_of, watching


class Stuck:
    """Work that only ends when it is cut off or cancelled."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.was_cut_off = asyncio.Event()
        self.begun = asyncio.Event()
        self._deaf = deaf

    async def work(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            if self._deaf:  # as a driver that waits for a server's answer to its request to cancel
                await self.was_cut_off.wait()

    def cut_off(self) -> None:
        self.was_cut_off.set()


@asynccontextmanager
async def asked_to_stop(*, grace_seconds: float, at_once: bool = False) -> AsyncGenerator[Ending]:
    stop, now = asyncio.Event(), asyncio.Event()
    stop.set()
    if at_once:
        now.set()
    async with watching(stop, now, grace_seconds=grace_seconds, deadline_seconds=None) as ending:
        await ending.asked.wait()
        yield ending


async def test_nothing_ends_a_run_that_is_left_alone() -> None:
    async with watching(asyncio.Event(), asyncio.Event(), grace_seconds=0, deadline_seconds=None) as ending:
        assert await ending.obeyed(asyncio.sleep(0, "done"), pytest.fail, turn=Turn.READING) == "done"
        ending.require_goes_on()
        assert not ending.asked.is_set()


@pytest.mark.parametrize("deaf", [True, False])
async def test_work_is_given_up_when_the_grace_is_over(deaf: bool) -> None:
    stuck = Stuck(deaf=deaf)
    async with asked_to_stop(grace_seconds=0.05) as ending, asyncio.timeout(10):
        with pytest.raises(StoppedError):
            await ending.obeyed(stuck.work(), stuck.cut_off, turn=Turn.READING)
    assert stuck.was_cut_off.is_set()


async def test_work_that_can_not_be_ended_keeps_nobody_waiting() -> None:
    stuck = Stuck(deaf=True)
    async with asked_to_stop(grace_seconds=0.05) as ending:
        with pytest.raises(StoppedError):
            await ending.obeyed(stuck.work(), lambda: None, turn=Turn.READING)
    stuck.cut_off()


async def test_second_request_does_not_wait_for_the_grace() -> None:
    stuck = Stuck()
    async with asked_to_stop(grace_seconds=100_000, at_once=True) as ending, asyncio.timeout(10):
        with pytest.raises(StoppedError):
            await ending.obeyed(stuck.work(), stuck.cut_off, turn=Turn.READING)


async def test_work_that_ends_within_the_grace_is_not_disturbed() -> None:
    async with asked_to_stop(grace_seconds=100_000) as ending:
        assert await ending.obeyed(asyncio.sleep(0, "done"), pytest.fail, turn=Turn.READING) == "done"


async def test_recording_comes_after_reading_is_given_up() -> None:
    reading, recording = Stuck(), Stuck()
    async with asked_to_stop(grace_seconds=0.1, at_once=True) as ending:
        later = asyncio.create_task(ending.obeyed(recording.work(), recording.cut_off, turn=Turn.RECORDING))
        with pytest.raises(StoppedError):
            await ending.obeyed(reading.work(), reading.cut_off, turn=Turn.READING)
        assert not recording.was_cut_off.is_set()
        with pytest.raises(StoppedError):
            await later


async def test_run_that_takes_too_long_is_asked_to_end_with_a_reason_that_names_the_limit() -> None:
    async with watching(asyncio.Event(), asyncio.Event(), grace_seconds=0.02, deadline_seconds=0.01) as ending:
        await ending.asked.wait()
        with pytest.raises(DeadlineError, match=r"not done within the 0\.01 s that a run may take"):
            ending.require_goes_on()
        await ending.at_once.wait()


async def test_work_of_a_run_that_is_cancelled_from_outside_is_ended_first() -> None:
    stuck = Stuck(deaf=True)
    async with watching(asyncio.Event(), asyncio.Event(), grace_seconds=100, deadline_seconds=None) as ending:
        task = asyncio.create_task(ending.obeyed(stuck.work(), stuck.cut_off, turn=Turn.READING))
        await stuck.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert stuck.was_cut_off.is_set()


def test_a_quarter_of_the_grace_but_not_more_than_8_s_is_kept_for_ending_at_once() -> None:
    assert [reserve_of(seconds) for seconds in (0, 1, 8, 20, 3600)] == [0, 0.25, 2, 5, 8]
