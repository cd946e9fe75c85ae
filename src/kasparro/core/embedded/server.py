"""Starts, stops and inspects the one server of a home, safely for any number of processes that try at once.

Everything here blocks; the package's own functions run it in a thread.
"""

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from kasparro.core.database.options import ConnectionOptions, Tls
from kasparro.core.embedded.account import launch
from kasparro.core.embedded.belonging import is_of_former_home, own_layout
from kasparro.core.embedded.cluster import DATABASE, ROLE, initialize, read_password, require_same_major
from kasparro.core.embedded.configuration import write_configuration
from kasparro.core.embedded.installation import find_installation, reachable_installation
from kasparro.core.embedded.layout import PORT, Layout, layout_for, make_private_folders, make_root
from kasparro.core.embedded.lock import Patience, locked
from kasparro.core.embedded.process import clear_remains, running_postmaster
from kasparro.core.embedded.stopping import StopMode, end
from kasparro.core.errors import EmbeddedServerError

_LOG_PREFIX: Final = re.compile(r"^.*? \[\d+\] [A-Z]+:\s+")
_FATAL: Final = re.compile(r"^.*? \[\d+\] (FATAL|PANIC):\s+")
_NO_SPACE: Final = "No space left on device"
_ABSENT: Final = "skipping missing configuration file"
"""What PostgreSQL says of a `custom.conf` that nobody wrote, which is nothing to worry about."""
_TAIL_BYTES: Final = 2048
_NO_LIMIT_SECONDS: Final = "2000000"


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What is known of a home's server; `version` is the major version of its data, None before the first start.

    `folder` is all that there is of it: `data` and `logs` are in it.
    """

    running: bool
    pid: int | None
    version: str | None
    folder: Path
    data: Path
    logs: Path
    sockets: Path


def ensure(
    home: Path,
    patience: Patience,
    *,
    settings: Mapping[str, str] | None = None,
    durable: bool = True,
    even_if_stopped: bool = True,
) -> ConnectionOptions:
    """Options for the running server, which is made and started when needed.

    One that was stopped on purpose is only started `even_if_stopped`. `settings` are written into the server's
    configuration if this call starts it; `durable=False` is for tests.
    """
    with _house_errors(home):
        layout = own_layout(home, patience)
        if not _is_usable(layout):
            make_root(layout)
            with locked(layout.lock, patience):
                make_private_folders(layout)
                _settle(layout, patience)
                if not _is_usable(layout):
                    _leave_stopped(layout, even_if_stopped=even_if_stopped)
                    _start(layout, patience, settings or {}, durable=durable)
        return _options(layout)


def shut_down(home: Path, mode: StopMode, patience: Patience, *, force: bool = False) -> bool:
    """Stop the server and wait for its end, which `force` brings about; False when none was running."""
    with _house_errors(home):
        layout = layout_for(home)
        if not layout.root.exists() or is_of_former_home(home, layout):
            return False
        with locked(layout.lock, patience):
            if running_postmaster(layout) is None:
                return False
            if mode == "fast":
                layout.stopped.touch()
            end(layout, mode, patience, force=force)
            return True


def inspect(home: Path) -> EmbeddedStatus:
    """The state of the server, without touching anything."""
    with _house_errors(home):
        layout = layout_for(home)
        ours = not is_of_former_home(home, layout)
        found = running_postmaster(layout) if ours else None
        version = layout.data / "PG_VERSION"
        return EmbeddedStatus(
            running=found is not None and found.state == "ready",
            pid=found.pid if found else None,
            version=version.read_text(encoding="ascii").strip() if ours and version.exists() else None,
            folder=layout.root,
            data=layout.data,
            logs=layout.logs,
            sockets=layout.sockets,
        )


def _is_usable(layout: Layout) -> bool:
    """Ready, and its socket is there (cleaners of /tmp remove sockets)."""
    found = running_postmaster(layout)
    return found is not None and found.state == "ready" and layout.socket.exists()


def _settle(layout: Layout, patience: Patience) -> None:
    """Wait while a server that this process did not start is starting, recovering or stopping."""
    while (found := running_postmaster(layout)) is not None and found.state != "ready":
        patience.tell(f"PostgreSQL is {found.state}{_last_words(layout)}")
        patience.wait()
    if found is not None and not layout.socket.exists():
        end(layout, "fast", patience, force=False)


def _leave_stopped(layout: Layout, *, even_if_stopped: bool) -> None:
    if not even_if_stopped and layout.stopped.exists():
        raise EmbeddedServerError(
            f"the embedded PostgreSQL in {layout.root} was stopped on purpose", hint="`kasparro up` starts it again"
        )
    layout.stopped.unlink(missing_ok=True)


def _start(layout: Layout, patience: Patience, settings: Mapping[str, str], *, durable: bool) -> None:
    installation = reachable_installation(find_installation(), layout.account)
    if not (layout.data / "PG_VERSION").exists():
        patience.tell(f"creating a PostgreSQL {installation.version} database in {layout.root}")
        initialize(layout, installation, durable=durable)
    require_same_major(layout, installation)
    clear_remains(layout, patience)
    write_configuration(layout, settings)
    _run_start(layout, installation.program("pg_ctl"), patience)


def _run_start(layout: Layout, program: str, patience: Patience) -> None:
    """Wait until the server is ready or `pg_ctl start` has failed; recovery takes as long as it takes."""
    first_words = layout.logs / "start.log"
    first_words.unlink(missing_ok=True)
    options = f"-c config_file={shlex.quote(str(layout.configuration))}"
    # pg_ctl hands paths to a shell, badly quoted: they go by environment and relative to the working folder
    relative = str(first_words.relative_to(layout.root))
    command = [program, "start", "-s", "-w", "-t", _NO_LIMIT_SECONDS, "-l", relative, "-o", options]
    with tempfile.TemporaryFile() as output:
        process = launch(layout.account, command, log=output, data=layout.data)
        _watch(process, layout, patience)
    if not _is_usable(layout):
        reason = _last_words(layout, fatal=True)
        hint = f"see the log in {layout.logs}"
        if _NO_SPACE in reason:
            hint = "free disk space there, then run again: it goes on from what the database holds"
        raise EmbeddedServerError(f"PostgreSQL did not start on {layout.data}{reason}", hint=hint)


def _watch(process: "subprocess.Popen[str]", layout: Layout, patience: Patience) -> None:
    """Report what the server does until it is ready; on cancellation the server is left to finish its start.

    The loop looks by itself: pg_ctl compares clocks and would wait for ever after a step back.
    """
    try:
        while process.poll() is None and not _is_usable(layout):
            patience.wait()
            patience.tell(f"PostgreSQL is starting{_last_words(layout)}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _last_words(layout: Layout, *, fatal: bool = False) -> str:
    """The last message of the newest log that tells something, without its time and level, after a colon.

    With `fatal` the last one that says why the server ended, if there is one.
    """
    logs = [path for path in layout.logs.glob("*.log") if path.stat().st_size]
    if not logs:
        return ""
    with max(logs, key=lambda path: path.stat().st_mtime_ns).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if _ABSENT not in line]
    telling = [line for line in telling if fatal and _FATAL.match(line)] or telling
    return f": {_LOG_PREFIX.sub('', telling[-1].strip())}" if telling else ""


def _options(layout: Layout) -> ConnectionOptions:
    return ConnectionOptions(
        hosts=(str(layout.sockets),),
        ports=(PORT,),
        user=ROLE,
        database=DATABASE,
        password=SecretStr(read_password(layout)),
        tls=Tls(mode="disable"),
    )


@contextmanager
def _house_errors(home: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"embedded PostgreSQL of {home}: {error}", hint="set KASPARRO_HOME to a folder of your own, or DATABASE_URL"
        ) from error
