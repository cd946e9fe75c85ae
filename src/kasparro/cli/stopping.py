"""Ending gently: the first SIGINT or SIGTERM asks for the end at a batch's edge, the second ends at once."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kasparro.cli.frame import cancel_for_signal
from kasparro.core.errors import EXIT_SIGINT, EXIT_SIGTERM


@dataclass(slots=True)
class Stop:
    """Asked to stop by a signal: the batch in hand is still committed. A second signal ends at once."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    exit_code: int | None = None


@contextmanager
def stop_on_signals() -> Generator[Stop]:
    """SIGINT and SIGTERM stop at a batch's edge; the second one cancels."""
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), Stop()

    def ask(exit_code: int) -> None:
        if stop.exit_code is not None and task is not None:
            cancel_for_signal(task, exit_code)
        stop.exit_code = exit_code
        stop.event.set()

    loop.add_signal_handler(signal.SIGINT, ask, EXIT_SIGINT)
    loop.add_signal_handler(signal.SIGTERM, ask, EXIT_SIGTERM)
    yield stop
