"""Ending gently, but in time: the first SIGINT or SIGTERM asks for the end at a batch's edge, the second ends at once.

Whatever happens, the process is gone when the grace is over: what it had not committed is rolled back by the server,
as after a kill, and read again by the next run.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kasparro.cli.frame import cancel_for_signal
from kasparro.core.errors import EXIT_SIGINT, EXIT_SIGTERM


@dataclass(slots=True)
class Stop:
    """Whether a signal asked for the end: `event` by the first, `at_once` by the second."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    exit_code: int | None = None
    ask: Callable[[int], None] = field(default=lambda _exit_code: None)
    """Do what a signal with this exit code does."""


@contextmanager
def stop_on_signals(grace_seconds: float, *, gently: bool = True) -> Generator[Stop]:
    """SIGINT and SIGTERM stop at a batch's edge; the second one at once, with a moment to record that if `gently`.

    The process ends within the grace, also when nothing else in it reacts.
    """
    from kasparro.ingestion.ending import reserve_of

    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), Stop()
    reserve = reserve_of(grace_seconds)
    last_words = reserve * 5 / 8  # one turn more than a run takes
    assert task is not None

    def ask(exit_code: int) -> None:
        asked_before, stop.exit_code = stop.exit_code is not None, exit_code
        if not asked_before:
            stop.event.set()
            loop.call_later(grace_seconds - reserve + last_words, cancel_for_signal, task, exit_code)
            _leave_after(grace_seconds, exit_code)
        elif gently and not stop.at_once.is_set():
            stop.at_once.set()
            loop.call_later(last_words, cancel_for_signal, task, exit_code)
        else:
            cancel_for_signal(task, exit_code)

    stop.ask = ask
    loop.add_signal_handler(signal.SIGINT, ask, EXIT_SIGINT)
    loop.add_signal_handler(signal.SIGTERM, ask, EXIT_SIGTERM)
    yield stop


def _leave_after(grace_seconds: float, exit_code: int) -> None:
    """End the process by then, whatever its threads do."""
    timer = threading.Timer(grace_seconds, _leave, (grace_seconds, exit_code))
    timer.daemon = True
    timer.start()


def _leave(grace_seconds: float, exit_code: int) -> None:
    said = f"not ended within {grace_seconds:g} s, so ended as by a kill; the next run goes on from what is committed"
    os.write(sys.stderr.fileno(), f"error: {said}\n".encode())
    os._exit(exit_code)
