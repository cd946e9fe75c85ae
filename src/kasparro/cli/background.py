"""Processes in the background of a home folder, one of each name, known by a lock that dies with its holder.

`<name>.lock` is locked (flock) by the process for as long as it lives, whatever kills it, and describes it. Whoever
only asks takes the lock shared, so that askers never see one another; and a process is only believed, and signalled,
if the one with that number began when the description says.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kasparro.cli.environment import VARIABLE
from kasparro.cli.processes import Running, began
from kasparro.core.errors import ConfigurationError, KasparroError, RunConflictError

if TYPE_CHECKING:
    from kasparro.core.settings import Settings

STOP_TIMEOUT_SECONDS: Final = 15.0
PATIENCE_SECONDS: Final = 5.0
"""How long a holder may take to describe itself, and askers to let a new holder in."""
POLL_SECONDS: Final = 0.05
LOG_TAIL_LINES: Final = 5
SERVER: Final = "serve"
SCHEDULER: Final = "scheduler"
DEMO: Final = "demo"
TITLES: Final = {SERVER: "API server", SCHEDULER: "scheduler", DEMO: "demo upstream"}
"""What each is called in messages."""
INHERITED: Final = "_KASPARRO_LOCK"
"""Tells a process that was started in the background the number of the descriptor with its lock."""
_DESCRIPTION_BYTES: Final = 16384


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives this one on purpose: its end is not waited for, and that is no leak."""

    def __del__(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Background:
    """The process of one name in one home. A home that cannot be used raises ConfigurationError."""

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
        """The process, if one runs. Raises KasparroError for a holder that stays unknown."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (text := self._read_if_held()) is not None:
            running = _described(text)
            if running is not None and running.lives():
                return running
            if time.monotonic() > deadline:
                raise KasparroError(
                    f"{self.lock_path} is held, but by no process that can be seen here",
                    hint="does it run in another container, or as another user?",
                )
            time.sleep(POLL_SECONDS)
        return None

    @contextmanager
    def held(self, host: str = "", port: int = 0, fingerprint: Mapping[str, str] | None = None) -> Generator[None]:
        """Hold the lock as this process, or go on holding the one it was started with.

        Raises RunConflictError when another process has it.
        """
        inherited = self._inherited()
        descriptor = self._lock() if inherited is None else inherited
        try:
            _describe(descriptor, Running(os.getpid(), host, port, "", inherited is not None, fingerprint or {}))
            yield
        finally:
            os.close(descriptor)

    def start(
        self, arguments: Sequence[str], host: str = "", port: int = 0, fingerprint: Mapping[str, str] | None = None
    ) -> Running:
        """Start `kasparro` with these arguments in a session of its own; it inherits the lock.

        Raises RunConflictError when one runs.
        """
        descriptor = self._lock()
        try:
            process = Running(self._spawn(arguments, descriptor).pid, host, port, "", True, fingerprint or {})
            _describe(descriptor, process)
        finally:
            os.close(descriptor)
        return process

    def stop(self, only: Running | None = None, *, within_seconds: float = STOP_TIMEOUT_SECONDS) -> Running | None:
        """Stop the process (`only` this one, and none that took its place) and wait until it is gone; then kill it.

        None when none runs.
        """
        running = self.find()
        if running is None or (only is not None and running != only):
            return None
        running.send(signal.SIGTERM)
        if not self._wait_until_gone(running, within_seconds):
            running.send(signal.SIGKILL)
            if not self._wait_until_gone(running, STOP_TIMEOUT_SECONDS):
                raise KasparroError(f"the {self.title} (process {running.pid}) does not end")
        return running

    def log_tail(self) -> str:
        """The last lines of its log, for a message."""
        path = self.log_path
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])

    def _spawn(self, arguments: Sequence[str], descriptor: int) -> _Detached:
        """With the environment of this process, which holds its `.env` already: it reads no other."""
        environment = {name: value for name, value in os.environ.items() if name != "KASPARRO_HOME_FILE"}
        with usable(self.home), self.log_path.open("ab") as log:
            return _Detached(
                [sys.executable, "-m", "kasparro", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(descriptor,),
                env=environment | {"KASPARRO_HOME": str(self.home), VARIABLE: os.devnull, INHERITED: str(descriptor)},
            )

    def _read_if_held(self) -> str | None:
        """The description of the lock's holder; None when nobody holds it."""
        with usable(self.home):
            try:
                descriptor = os.open(self.lock_path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                free = _try_lock(descriptor, fcntl.LOCK_SH)
                return None if free else os.pread(descriptor, _DESCRIPTION_BYTES, 0).decode(errors="replace")
            finally:
                os.close(descriptor)

    def _lock(self) -> int:
        """The lock's descriptor, with the former holder's description removed."""
        with usable(self.home):
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _take(self, descriptor: int) -> None:
        """Lock it. Those who only ask hold it for a moment; whoever still has it after many moments, runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if self._read_if_held() is not None or time.monotonic() > deadline:
                raise RunConflictError(f"{self.home}: the {self.title} already runs", hint="`kasparro down` stops it")
            time.sleep(POLL_SECONDS / 50)

    def _inherited(self) -> int | None:
        """The descriptor of this lock, if `start` passed it to this process; from here on nobody else inherits it."""
        text = os.environ.get(INHERITED, "")
        if not text.isdigit():
            return None
        descriptor = int(text)
        try:
            found, wanted = os.fstat(descriptor), self.lock_path.stat()
        except OSError:
            return None
        if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
            return None
        del os.environ[INHERITED]
        os.set_inheritable(descriptor, False)
        return descriptor

    def _wait_until_gone(self, running: Running, within_seconds: float) -> bool:
        deadline = time.monotonic() + within_seconds
        while running.lives() and self._read_if_held() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def patience(settings: "Settings") -> float:
    """Seconds for a process that may run sources to end by itself."""
    return max(STOP_TIMEOUT_SECONDS, settings.stop_grace_seconds + 2)


@contextmanager
def held_by_service(
    settings: "Settings", name: str, note: Callable[[str], None], host: str = "", port: int = 0
) -> Generator[None]:
    """Hold the name's lock as this process; with a `DATABASE_URL` a service also runs where no home can be written.

    Raises ConfigurationError.
    """
    from kasparro.cli.fingerprint import take

    fingerprint = take(settings, name, host, port)
    with ExitStack() as stack:
        try:
            stack.enter_context(Background(settings.home, name).held(host, port, fingerprint))
        except ConfigurationError as error:
            if settings.database_url is None:
                raise
            note(f"{error.message}; so `kasparro status` and `kasparro down` will not see this process")
        yield


@contextmanager
def usable(home: Path) -> Generator[None]:
    """What the operating system says against a home, in the words of the house."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"the home {home} cannot be used: {error.strerror}: {error.filename or home}",
            hint="set KASPARRO_HOME to a folder of your own",
        ) from error


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(descriptor: int, process: Running) -> None:
    """Replace the file's text by one write of one length, so that what a reader sees is the old or the new one.

    A fingerprint for which there is no room is left out.
    """
    described = replace(process, began=began(process.pid) or "")
    text = json.dumps(asdict(described)).encode()
    if len(text) > _DESCRIPTION_BYTES:
        text = json.dumps(asdict(replace(described, fingerprint={}))).encode()
    os.pwrite(descriptor, text.ljust(_DESCRIPTION_BYTES), 0)


def _described(text: str) -> Running | None:
    """The process that a description names; None when it is none (yet)."""
    try:
        return Running(**json.loads(text))
    except (ValueError, TypeError):
        return None
