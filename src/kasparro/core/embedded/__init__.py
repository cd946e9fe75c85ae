"""The PostgreSQL server that kasparro brings along, for machines without one: one per home, shared by its processes."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kasparro.core.errors import EmbeddedServerError

if TYPE_CHECKING:
    from kasparro.core.database.options import ConnectionOptions
    from kasparro.core.embedded.server import EmbeddedStatus


async def ensure_running(
    home: Path, *, report: Callable[[str], None] | None = None, even_if_stopped: bool = True
) -> "ConnectionOptions":
    """Options for the home's server; makes and starts it when needed, and uses it when it runs.

    A server that `stop` ended on purpose (not: one that crashed) is only started `even_if_stopped`.

    Takes as long as recovery does; `report` is called on the event loop with what is going on. The server outlives
    this process. Raises EmbeddedServerError.
    """
    _require_platform()
    from kasparro.core.embedded.lock import Patience
    from kasparro.core.embedded.server import ensure

    loop = asyncio.get_running_loop()
    patience = Patience(None if report is None else lambda message: _pass_on(loop, report, message))
    try:
        return await asyncio.to_thread(ensure, home, patience, even_if_stopped=even_if_stopped)
    except asyncio.CancelledError:
        patience.cancel()
        raise


async def stop(
    home: Path,
    *,
    mode: Literal["fast", "immediate"] = "fast",
    force: bool = False,
    report: Callable[[str], None] | None = None,
) -> bool:
    """Stop the home's server and wait for its end, for a bounded time; False when none was running.

    `immediate` is a crash by order: the next start recovers. With `force` a server that does not stop is ended that
    way, at last killed. Raises EmbeddedServerError when it still runs.
    """
    _require_platform()
    from kasparro.core.embedded.lock import Patience
    from kasparro.core.embedded.server import shut_down

    loop = asyncio.get_running_loop()
    patience = Patience(None if report is None else lambda message: _pass_on(loop, report, message))
    try:
        return await asyncio.to_thread(shut_down, home, mode, patience, force=force)
    except asyncio.CancelledError:
        patience.cancel()
        raise


def status(home: Path) -> "EmbeddedStatus":
    """What is known of the home's server. Touches nothing."""
    _require_platform()
    from kasparro.core.embedded.server import inspect

    return inspect(home)


def _pass_on(loop: asyncio.AbstractEventLoop, report: Callable[[str], None], message: str) -> None:
    loop.call_soon_threadsafe(report, message)


def _require_platform() -> None:
    if sys.platform == "win32":
        raise EmbeddedServerError(
            "no embedded PostgreSQL on Windows", hint="set DATABASE_URL to a PostgreSQL server, 15 or newer"
        )
