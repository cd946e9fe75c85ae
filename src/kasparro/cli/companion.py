"""A scheduler beside the API: a process of its own, so that its work never keeps the API from answering.

It writes to the same log, is started again when it dies, and ends when this process does, however that ends: the pipe
to its standard input is then closed, which it takes for a SIGTERM.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kasparro.cli.environment import VARIABLE
from kasparro.cli.frame import Context
from kasparro.core.errors import EXIT_CONFIGURATION, EXIT_CONFLICT, EXIT_SIGTERM, EXIT_USAGE
from kasparro.core.logging import get_logger

if TYPE_CHECKING:
    from kasparro.cli.stopping import Stop
    from kasparro.core.settings import Settings

LIFELINE: Final = "_KASPARRO_LIFELINE"
"""Tells a process that the end of its standard input is the end of the process that started it."""
_REPLACED: Final = frozenset({"KASPARRO_HOME_FILE", "KASPARRO_STOP_GRACE_SECONDS_FILE"})
_FINAL: Final = frozenset({EXIT_USAGE, EXIT_CONFIGURATION, EXIT_CONFLICT})
"""Starting again would end the same way."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_LAST_WORDS_SECONDS: Final = 5.0
_GRACE_SHARE: Final = 0.9
_log = get_logger(__name__)


async def keep_scheduler(context: Context, answers: asyncio.Event, stop: asyncio.Event) -> int:
    """Run a scheduler, once the API answers, until asked to stop; wait for its last batch. Its exit code.

    Returns before that when it cannot run at all. Cancelled, it ends the scheduler at once.
    """
    pause = _FIRST_PAUSE_SECONDS
    await _wait_for_one(answers, stop)
    while not stop.is_set():
        began = time.monotonic()
        code = await _run_once(context, stop)
        if stop.is_set() or code in _FINAL:
            return code
        pause = _FIRST_PAUSE_SECONDS if time.monotonic() - began > _LONGEST_PAUSE_SECONDS else pause
        _log.error("scheduler.died", message=f"the scheduler ended with {code}, and is started again in {pause:g} s")
        await _wait_for_one(stop, timeout_seconds=pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return 0


def end_with_parent(stop: "Stop") -> None:
    """In a scheduler that `keep_scheduler` started: stop at a batch's edge once the process that did is gone."""
    if os.environ.pop(LIFELINE, None) is None:
        return
    loop, lifeline = asyncio.get_running_loop(), sys.stdin.fileno()

    def let_go() -> None:
        loop.remove_reader(lifeline)
        stop.ask(EXIT_SIGTERM)

    loop.add_reader(lifeline, let_go)


async def _run_once(context: Context, stop: asyncio.Event) -> int:
    process = await _start(context)
    ended = asyncio.ensure_future(process.wait())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            _terminate(process)
        return await ended
    except asyncio.CancelledError:
        _terminate(process)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                return await process.wait()
        process.kill()
        return await process.wait()
    finally:
        stopping.cancel()


async def _wait_for_one(*events: asyncio.Event, timeout_seconds: float | None = None) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


async def _start(context: Context) -> asyncio.subprocess.Process:
    """In a process group of its own, so that Ctrl-C reaches it once, through us."""
    settings = context.settings
    environment = {name: value for name, value in os.environ.items() if name not in _REPLACED} | _grace(settings)
    quiet = ["--quiet"] if context.quiet else []
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kasparro", "scheduler", "--config", str(context.config_path), *quiet,
        stdin=asyncio.subprocess.PIPE,
        env={**environment, "KASPARRO_HOME": str(settings.home), VARIABLE: os.devnull, LIFELINE: "0"},
        process_group=0,
    )  # fmt: skip


def _grace(settings: "Settings") -> dict[str, str]:
    """A little less than our own, so that it has ended, and told us how, before our own is over."""
    return {"KASPARRO_STOP_GRACE_SECONDS": str(max(1.0, settings.stop_grace_seconds * _GRACE_SHARE))}


def _terminate(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
