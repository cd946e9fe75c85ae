"""A lock between processes that the kernel frees when its holder dies."""

import fcntl
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kasparro.core.errors import EmbeddedServerError

POLL_SECONDS: Final = 0.05


class Patience:
    """Waits in small steps, tells a listener about it, and gives up when the caller was cancelled."""

    def __init__(self, report: Callable[[str], None] | None = None) -> None:
        self._report = report
        self._cancelled = threading.Event()
        self._told: str | None = None

    def cancel(self) -> None:
        self._cancelled.set()

    def wait(self) -> None:
        if self._cancelled.wait(POLL_SECONDS):
            raise EmbeddedServerError("waiting for the embedded PostgreSQL was cancelled")

    def tell(self, message: str) -> None:
        """Report a message once, however often it is repeated."""
        if self._report is not None and message != self._told:
            self._report(message)
        self._told = message


@contextmanager
def locked(path: Path, patience: Patience | None = None) -> Generator[None]:
    """Hold the lock file; waits for another process, however long it takes."""
    patience = patience or Patience()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(handle):
            patience.tell("waiting for another process that starts or stops the embedded PostgreSQL")
            patience.wait()
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
