"""Starts runs as processes, waits for their end, and kills them: what `kasparro chaos` does to a source."""

import asyncio
import multiprocessing
import signal
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kasparro.cli.chaos_child import Order, Report

_PRELOADED: Final = ["kasparro.cli.main", "kasparro.cli.chaos_child", "kasparro.ingestion.http.client"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run's process ended: `report` is None when it was killed, by a fault or from outside.

    `start_seconds` went by before it had claimed its source, `seconds` in all.
    """

    report: "Report | None"
    killed: bool
    start_seconds: float
    seconds: float

    @property
    def reason(self) -> str | None:
        """Why no pass was completed; None when one was."""
        if self.report is not None:
            return self.report.error
        return "the process was killed" if self.killed else "the process ended without a word"


async def run(order: "Order", *, kill_after_seconds: float | None = None, patience_seconds: float) -> Ended:
    """Run once in a process of its own, killed after a time if it is still at work then.

    One that takes longer than `patience_seconds` is killed as well, and has no report.
    """
    from kasparro.cli.chaos_child import obey

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=obey, args=(order, writer), daemon=True)
    began = time.monotonic()
    await asyncio.to_thread(process.start)
    writer.close()
    try:
        await _end(process, patience_seconds if kill_after_seconds is None else kill_after_seconds)
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
    seconds = time.monotonic() - began
    with reader:
        report: Report | None = reader.recv() if process.exitcode == 0 else None
    claimed = report.began_at if report is not None else None
    return Ended(report, process.exitcode == -signal.SIGKILL, seconds if claimed is None else claimed - began, seconds)


async def _end(process: BaseProcess, timeout_seconds: float) -> None:
    """Return when the process has ended, or after the time."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), timeout_seconds)
    except TimeoutError:
        return
    finally:
        loop.remove_reader(process.sentinel)
