"""Serves an application until SIGTERM, with a Granian whose thread takes a while to leave Python, as on a busy machine.

python serve_until_stopped.py PORT
"""

import asyncio
import contextlib
import signal
import sys
import threading
import time
from typing import Any

from starlette.applications import Starlette

from kasparro.core.serving import serve_application

STAY_SECONDS = 0.2


async def main(port: int) -> None:
    """Serve; say `ready` once it does."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    call_soon = loop.call_soon_threadsafe

    def slow_call_soon(*arguments: Any, **named: Any) -> Any:
        handle = call_soon(*arguments, **named)
        if threading.get_ident() != threading.main_thread().ident:
            time.sleep(STAY_SECONDS)
        return handle

    loop.call_soon_threadsafe = slow_call_soon  # pyright: ignore[reportAttributeAccessIssue]
    with contextlib.suppress(asyncio.CancelledError):
        await serve_application(
            Starlette(),
            host="127.0.0.1",
            port=port,
            on_ready=lambda: print("ready", flush=True),
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
