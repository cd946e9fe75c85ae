"""Processes in the background of a home folder, one of each name, known by a lock that dies with its holder.

`<name>.lock` is locked (flock) by the process for as long as it lives, whatever kills it, and names its process id and
address. So nobody ever signals a process that merely inherited the number.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kasparro.core.errors import KasparroError, RunConflictError

STOP_TIMEOUT_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.05
LOG_TAIL_LINES: Final = 5
SERVER: Final = "serve"
SCHEDULER: Final = "scheduler"
DEMO: Final = "demo"
TITLES: Final = {SERVER: "API server", SCHEDULER: "scheduler", DEMO: "demo upstream"}
"""What each is called in messages."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs; `host` and `port` where it serves something."""

    pid: int
    host: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives this one on purpose: its end is not waited for, and that is no leak."""

    def __del__(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Background:
    """The process of one name in one home."""

    home: Path
    name: str

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def log_path(self) -> Path:
        """Where it writes its log."""
        return self.home / f"{self.name}.log"

    @property
    def lock_path(self) -> Path:
        return self.home / f"{self.name}.lock"

    def find(self) -> Running | None:
        """The process, if one runs."""
        try:
            descriptor = os.open(self.lock_path, os.O_RDWR)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            if _try_lock(file.fileno()):
                return None
            return self._described(file.read())

    @contextmanager
    def held(self, host: str = "", port: int = 0) -> Generator[int, None, None]:
        """Hold the lock as this process; yields its descriptor. Raises RunConflictError when one runs."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _try_lock(descriptor):
                raise RunConflictError(f"{self.home}: the {self.title} already runs", hint="`kasparro down` stops it")
            _describe(descriptor, Running(os.getpid(), host, port))
            yield descriptor
        finally:
            os.close(descriptor)

    def start(self, arguments: Sequence[str], host: str = "", port: int = 0) -> "subprocess.Popen[bytes]":
        """Start `kasparro` with these arguments in a session of its own; it inherits the lock."""
        with self.held(host, port) as descriptor, self.log_path.open("ab") as log:
            process = _Detached(
                [sys.executable, "-m", "kasparro", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(descriptor,),
                env={**os.environ, "KASPARRO_HOME": str(self.home)},
            )
            _describe(descriptor, Running(process.pid, host, port))
            return process

    def stop(self) -> Running | None:
        """Stop the process and wait until it is gone; None when none runs."""
        running = self.find()
        if running is None:
            return None
        os.kill(running.pid, signal.SIGTERM)
        if not self._wait_until_gone():
            os.kill(running.pid, signal.SIGKILL)
            if not self._wait_until_gone():
                raise KasparroError(f"the {self.title} (process {running.pid}) does not end")
        return running

    def log_tail(self) -> str:
        """The last lines of its log, for a message."""
        path = self.log_path
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])

    def _wait_until_gone(self) -> bool:
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.find() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _described(self, text: str) -> Running:
        try:
            return Running(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise KasparroError(
                f"{self.lock_path.name} is held, but does not say by whom: is a process just starting?"
            ) from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(descriptor: int, process: Running) -> None:
    """Replace the file's text; shorter than a page, so a reader sees the old or the new one."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(process)).encode(), 0)
