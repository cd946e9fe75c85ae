"""Ends a home's server within a bound: by its own shutdown, or by force where that is asked for.

https://www.postgresql.org/docs/current/server-shutdown.html names the signals.
"""

import os
import signal
import time
from contextlib import suppress
from typing import Final, Literal

from kasparro.core.embedded.layout import Layout
from kasparro.core.embedded.lock import Patience
from kasparro.core.embedded.process import Postmaster, kill_all, running_postmaster
from kasparro.core.errors import EmbeddedServerError

StopMode = Literal["fast", "immediate"]
STOP_SECONDS: Final = 60.0
"""How long a server may take to write all that it holds in memory; a longer shutdown is waited for by another stop."""
FORCED_STOP_SECONDS: Final = 10.0
QUIT_SECONDS: Final = 5.0
_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def end(layout: Layout, mode: StopMode, patience: Patience, *, force: bool) -> None:
    """Stop the running server and wait for its end. Call with the lock held.

    With `force`, one that does not stop in time is ended without a checkpoint, at last killed with all its processes:
    its next start recovers what was committed. Raises EmbeddedServerError when it still runs.
    """
    seconds = FORCED_STOP_SECONDS if force else STOP_SECONDS
    if _signal(layout, _SIGNALS[mode], patience, seconds):
        return
    if force:
        patience.tell(f"PostgreSQL does not stop within {seconds:.0f} s: it is ended, and its next start recovers")
        if _signal(layout, signal.SIGQUIT, patience, QUIT_SECONDS):
            return
        patience.tell(f"PostgreSQL does not end within {QUIT_SECONDS:.0f} s either: its processes are killed")
        kill_all(layout.data)
        if _is_gone(layout, patience, QUIT_SECONDS):
            return
    found = running_postmaster(layout)
    if found is not None:
        _refuse(layout, found, force=force)


def _signal(layout: Layout, number: signal.Signals, patience: Patience, seconds: float) -> bool:
    """Whether the server is gone in time after this signal."""
    found = running_postmaster(layout)
    if found is not None:
        with suppress(ProcessLookupError):  # it ended in between, which is what is wanted
            os.kill(found.pid, number)
    return _is_gone(layout, patience, seconds)


def _is_gone(layout: Layout, patience: Patience, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running_postmaster(layout) is not None:
        if time.monotonic() > deadline:
            return False
        patience.wait()
    return True


def _refuse(layout: Layout, found: Postmaster, *, force: bool) -> None:
    seconds = FORCED_STOP_SECONDS + 2 * QUIT_SECONDS if force else STOP_SECONDS
    raise EmbeddedServerError(
        f"PostgreSQL on {layout.data} (process {found.pid}) has not ended within {seconds:.0f} s and still runs",
        hint="the operating system does not let go of it: see what it waits for"
        if force
        else f"see {layout.logs}; wait for it and repeat, or end it by `kasparro down --force`",
    )
