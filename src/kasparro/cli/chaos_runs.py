"""Starts runs as processes, waits for their end, and kills them: what `kasparro chaos` does to a source."""

import asyncio
import multiprocessing
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kasparro.cli.chaos_child import Order, Report
    from kasparro.ingestion.operations.chaos import Moment

_PRELOADED: Final = ["kasparro.cli.chaos_warm"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run's process ended: `report` is None when it was killed, by a fault or from outside."""

    report: "Report | None"
    killed: bool
    seconds: float

    @property
    def reason(self) -> str | None:
        """Why no pass was completed; None when one was."""
        if self.report is not None:
            return self.report.error
        return "the process was killed" if self.killed else "the process ended without a word"


async def run(order: "Order", *, kill_at: "Moment | None" = None, patience_seconds: float) -> Ended:
    """Run once in a process of its own, killed at a moment after it has claimed the source if it is still at work then.

    One that takes longer than `patience_seconds` is killed as well, and has no report.
    """
    from kasparro.cli.chaos_child import obey

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=obey, args=(order, writer), daemon=True)
    started = time.monotonic()
    await asyncio.to_thread(process.start)
    writer.close()
    with reader:
        try:
            report = await _report(reader, kill_at, patience_seconds)
            if report is not None:
                await _readable(process.sentinel, patience_seconds)
        finally:
            process.kill()
            await asyncio.to_thread(process.join)
    return Ended(report, process.exitcode == -signal.SIGKILL, time.monotonic() - started)


async def _report(reader: Any, kill_at: "Moment | None", patience_seconds: float) -> "Report | None":
    """What a run says at its end; None when its moment comes before that, or its end without a word."""
    from kasparro.cli.chaos_child import Report

    words, began = 0, 1
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while True:
        if kill_at is not None and words == kill_at.commits + began:
            deadline, kill_at = asyncio.get_running_loop().time() + kill_at.seconds, None
        if not await _readable(reader.fileno(), deadline - asyncio.get_running_loop().time()):
            return None
        try:
            said = reader.recv()
        except EOFError:
            return None
        if isinstance(said, Report):
            return said
        words += 1


async def _readable(descriptor: int, timeout_seconds: float) -> bool:
    """Whether there is something to read within the time; at its end a process makes its sentinel readable."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), timeout_seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
