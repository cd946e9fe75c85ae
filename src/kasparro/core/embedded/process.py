"""What runs on a data folder: reads PostgreSQL's own pid file, and never takes another program for the server.

After a kill or a reboot the pid file may name a process that is gone, or one that has nothing to do with PostgreSQL.
A process counts as the server's only if it is called postgres and its working folder is the data folder.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kasparro.core.embedded.layout import Layout
from kasparro.core.embedded.lock import Patience
from kasparro.core.errors import EmbeddedServerError

_STATE_LINE: Final = 7
_PROC: Final = Path("/proc")
_GRACE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The running server; `state` is PostgreSQL's: `starting`, `ready`, `standby` or `stopping`."""

    pid: int
    state: str


def running_postmaster(layout: Layout) -> Postmaster | None:
    """The server on this data folder, or None when there is none, whatever its pid file says."""
    found = _read_pid_file(layout.data / "postmaster.pid")
    return found if found is not None and _serves(found.pid, layout.data) else None


def clear_remains(layout: Layout, patience: Patience) -> None:
    """Make a start possible after a crash: end the dead server's children, remove its pid and socket files.

    Call with the lock held and no server running.
    """
    _end_orphans(layout.data, patience)
    lock_file = layout.socket.with_name(f"{layout.socket.name}.lock")
    for path in (layout.data / "postmaster.pid", lock_file, layout.socket):
        path.unlink(missing_ok=True)


def kill_all(data: Path) -> None:
    """Kill the server and, where the system tells which they are, all its processes."""
    found = _read_pid_file(data / "postmaster.pid")
    server = [found.pid] if found is not None and _serves(found.pid, data) else []
    _signal_all(list(dict.fromkeys([*server, *_orphans(data)])), signal.SIGKILL)


def _read_pid_file(path: Path) -> Postmaster | None:
    """https://github.com/postgres/postgres/blob/master/src/include/utils/pidfile.h names the lines."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return None
    state = lines[_STATE_LINE].strip() if len(lines) > _STATE_LINE else "starting"
    return Postmaster(int(lines[0]), state)


def _serves(pid: int, data: Path) -> bool:
    if sys.platform == "linux":
        return _works_in(pid, data)
    command = ["/bin/ps", "-o", "stat=,command=", "-p", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (no foreign input)
    line = listed.stdout.strip()
    return not line.startswith("Z") and "postgres" in line and str(data.parent) in line


def _works_in(pid: int, data: Path) -> bool:
    """A zombie has no working folder; another user's process does not show it, and is not ours."""
    try:
        name = (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        folder = str((_PROC / str(pid) / "cwd").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return name == "postgres" and folder.removesuffix(" (deleted)") == os.path.realpath(data)


def _orphans(data: Path) -> list[int]:
    """Server processes on the data folder; only Linux tells. Elsewhere PostgreSQL's own check refuses to start."""
    if sys.platform != "linux":
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and _works_in(int(entry.name), data)]


def _end_orphans(data: Path, patience: Patience) -> None:
    """Children of a killed server end by themselves within moments; a busy one is told to, at last by force."""
    for number in (None, signal.SIGQUIT, signal.SIGKILL):
        if number is not None:
            _signal_all(_orphans(data), number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while _orphans(data) and time.monotonic() < deadline:
            patience.tell("waiting for processes of a killed PostgreSQL to end")
            patience.wait()
        if not _orphans(data):
            return
    raise EmbeddedServerError(f"processes {_orphans(data)} of a killed PostgreSQL on {data} do not end")


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended in between, which is what is wanted
            os.kill(pid, number)
