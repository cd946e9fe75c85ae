"""Processes told apart from others that later get the same number: by the moment at which they began."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kasparro.core.address import REACHED_AT
from kasparro.core.errors import KasparroError

_STATE, _STARTED = 0, 19
"""Fields 3 and 22 of /proc/PID/stat, counted behind the name, which may hold anything.
https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""


@dataclass(frozen=True, slots=True)
class Running:
    """A process; `host` and `port` where it serves something; `began` is the kernel's word on when it was started.

    `detached` is one that `kasparro up` put into the background, `fingerprint` what it was started with.
    """

    pid: int
    host: str = ""
    port: int = 0
    began: str = ""
    detached: bool = field(default=False, compare=False)
    fingerprint: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    @property
    def url(self) -> str:
        host = REACHED_AT.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}"

    def lives(self) -> bool:
        """Whether this very process still runs; not another one with its number, nor one that has ended."""
        return bool(self.began) and began(self.pid) == self.began

    def send(self, number: signal.Signals) -> None:
        """Signal this very process; nothing when it is gone. Raises KasparroError when it is another user's."""
        try:
            _send(self, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise KasparroError(f"process {self.pid} belongs to another user and cannot be stopped") from error


def began(pid: int) -> str | None:
    """When a process was started, in the kernel's own words; None when there is none, or it has ended."""
    if sys.platform == "linux":
        return _from_proc(pid)
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return None if not shown or shown.startswith("Z") else shown.partition(" ")[2].strip()


def _from_proc(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in {"Z", "X"} else fields[_STARTED]


def _send(process: Running, number: signal.Signals) -> None:
    """A pidfd stays with the process that it was opened for: looked at first, it cannot hit another one."""
    if sys.platform != "linux":
        if process.lives():
            os.kill(process.pid, number)
        return
    handle = os.pidfd_open(process.pid)
    try:
        if process.lives():
            signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
