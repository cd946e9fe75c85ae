"""Waiting for runs on behalf of a caller: without holding a connection, and never longer than the service runs."""

import asyncio
from typing import Final

from fastapi import Request

from kasparro.api.dependencies import ask_database
from kasparro.services import run_pages

_FIRST_LOOK_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0


async def wait_until_ended(request: Request, run_ids: list[int], *, timeout_seconds: float) -> None:
    """Return when all have ended, the time is over, the service is asked to stop, or nobody waits any more."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + timeout_seconds, _FIRST_LOOK_SECONDS
    while not await ask_database(request, lambda connection: run_pages.have_ended(connection, run_ids)):
        left = deadline - loop.time()
        if left <= 0 or await _stopping(request, min(pause, left)) or await request.is_disconnected():
            return
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def _stopping(request: Request, seconds: float) -> bool:
    """Whether the service was asked to stop within so many seconds."""
    stopping: asyncio.Event = request.app.state.stopping
    try:
        async with asyncio.timeout(seconds):
            return await stopping.wait()
    except TimeoutError:
        return False
