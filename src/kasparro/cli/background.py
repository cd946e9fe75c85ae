"""One API server in the background of each home folder, known by a lock that dies with it.

`serve.lock` is locked (flock) by the server for as long as it lives, whatever kills it, and names its process id and
address. So nobody ever signals a process that merely inherited the number.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kasparro.core.errors import KasparroError, RunConflictError

STOP_TIMEOUT_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.05
LOG_TAIL_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class BackgroundServer:
    """A server that runs."""

    pid: int
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives this one on purpose: its end is not waited for, and that is no leak."""

    def __del__(self) -> None:
        pass


def log_path(home: Path) -> Path:
    """Where a server in the background writes its log."""
    return home / "serve.log"


def find_server(home: Path) -> BackgroundServer | None:
    """The server of this home, if one runs."""
    try:
        descriptor = os.open(_lock_path(home), os.O_RDWR)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        if _try_lock(file.fileno()):
            return None
        return _described(file.read())


@contextmanager
def held_lock(home: Path, host: str, port: int) -> Generator[int, None, None]:
    """Hold the lock as the server of this home; yields its descriptor. Raises RunConflictError when one runs."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(_lock_path(home), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(descriptor):
            raise RunConflictError(f"{home}: an API server already runs", hint="`kasparro down` stops it")
        _describe(descriptor, BackgroundServer(os.getpid(), host, port))
        yield descriptor
    finally:
        os.close(descriptor)


def start_server(home: Path, host: str, port: int) -> "subprocess.Popen[bytes]":
    """Start `kasparro serve` in a session of its own; it inherits the lock."""
    command = [sys.executable, "-m", "kasparro", "serve", "--host", host, "--port", str(port)]
    with held_lock(home, host, port) as descriptor, log_path(home).open("ab") as log:
        process = _Detached(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(descriptor,),
            env={**os.environ, "KASPARRO_HOME": str(home)},
        )
        _describe(descriptor, BackgroundServer(process.pid, host, port))
        return process


def stop_server(home: Path) -> BackgroundServer | None:
    """Stop the server of this home and wait until it is gone; None when none runs."""
    server = find_server(home)
    if server is None:
        return None
    os.kill(server.pid, signal.SIGTERM)
    if not _wait_until_gone(home, STOP_TIMEOUT_SECONDS):
        os.kill(server.pid, signal.SIGKILL)
        if not _wait_until_gone(home, STOP_TIMEOUT_SECONDS):
            raise KasparroError(f"the API server (process {server.pid}) does not end")
    return server


def log_tail(home: Path) -> str:
    """The last lines of the server's log, for a message."""
    text = log_path(home).read_text(encoding="utf-8", errors="replace") if log_path(home).exists() else ""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def _wait_until_gone(home: Path, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while find_server(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _lock_path(home: Path) -> Path:
    return home / "serve.lock"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(descriptor: int, server: BackgroundServer) -> None:
    """Replace the file's text; shorter than a page, so a reader sees the old or the new one."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(server)).encode(), 0)


def _described(text: str) -> BackgroundServer:
    try:
        return BackgroundServer(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise KasparroError("serve.lock is held, but does not say by whom: is a server just starting?") from error
