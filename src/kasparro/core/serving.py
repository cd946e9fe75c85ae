"""Serves an ASGI application in this process: Granian on our own event loop."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from kasparro.core.logging import get_logger

LISTEN_POLL_SECONDS: Final = 0.02
LEAVE_POLL_SECONDS: Final = 0.001
_HTTP1: Final = HTTP1Settings(header_read_timeout=75_000, max_buffer_size=64 * 1024)
"""A connection ends when nothing came over it for so long (milliseconds), or headers take longer or more room than
that. Load balancers keep theirs for 60 s, and must be the first to let go."""
_OWN_LOGGING: Final[dict[str, Any]] = {"incremental": True, "handlers": {}, "loggers": {}}
"""Granian's messages take the way of all others, from warnings up."""
_log = get_logger(__name__)


async def serve_application(
    application: Any,
    *,
    host: str,
    port: int,
    on_ready: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Serve until cancelled; then requests in hand are answered. The address must be free: see `core.address`.

    `on_stop` is called first, so that requests which wait for something may end.
    """
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        http=HTTPModes.http1,  # the only mode that ends connections over which nothing ever comes
        http1_settings=_HTTP1,
        log_level=LogLevels.error,
        log_dictconfig=_OWN_LOGGING,
    )
    serving = asyncio.ensure_future(server.serve())
    try:
        await _wait_until_listening(serving, host, port)
        _log.info("server.started", message=f"serving http://{host}:{port}")
        if on_ready is not None:
            on_ready()
        await asyncio.shield(serving)
    finally:
        if on_stop is not None:
            on_stop()
        server.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await _wait_until_its_thread_left()
        _log.info("server.stopped", message="no longer serving")


async def _wait_until_listening(serving: "asyncio.Future[None]", host: str, port: int) -> None:
    """Granian says that it starts, not that it listens: return once it takes connections, or has failed."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(LISTEN_POLL_SECONDS)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def _wait_until_its_thread_left() -> None:
    """Granian reports its end from a thread of its own, which is inside Python at that moment.

    An interpreter that ends before that thread has left aborts the process (a Rust thread cannot be unwound).
    """
    while any(_is_granians(frame) for frame in sys._current_frames().values()):  # noqa: ASYNC110, SLF001  no event tells
        await asyncio.sleep(LEAVE_POLL_SECONDS)


def _is_granians(frame: FrameType) -> bool:
    """Whether a thread's stack begins in Granian: one that Python did not start."""
    while frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).startswith("granian.")
