"""Which operating system user the server runs as, and what that user can reach.

PostgreSQL refuses to run as root. Run as root, kasparro hands the server to an unprivileged user; run as anybody
else, the server is that user's own.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kasparro.core.errors import EmbeddedServerError

_CANDIDATES: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """The user that owns data, logs and socket. `switch` is true when it is not the user of this process."""

    uid: int
    gid: int
    switch: bool


def server_account(data: Path) -> Account:
    """The owner of existing data, else this process's user, else (as root) the first unprivileged user there is."""
    own = os.geteuid()
    if data.exists():
        status = data.stat()
        if status.st_uid == 0:
            raise EmbeddedServerError(f"{data} belongs to root, and PostgreSQL refuses to run as root")
        if own not in {0, status.st_uid}:
            raise EmbeddedServerError(f"{data} belongs to user {status.st_uid}, and this is user {own}")
        return Account(status.st_uid, status.st_gid, switch=status.st_uid != own)
    if own != 0:
        return Account(own, os.getegid(), switch=False)
    return _unprivileged()


def _unprivileged() -> Account:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedServerError(
        f"running as root, and none of the users {', '.join(_CANDIDATES)} exists to run PostgreSQL as",
        hint="run kasparro as another user, or set DATABASE_URL",
    )


def launch(
    account: Account, command: list[str], *, log: IO[bytes] | None = None, data: Path | None = None
) -> "subprocess.Popen[str]":
    """Start a command as the account, in a session of its own, without inherited PG* variables, with private files.

    Its streams are pipes, or `log` takes what it prints. With `data` it works in the folder beside it.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.Popen(  # noqa: S603  (commands are built from our own constants and paths)
            command,
            stdin=subprocess.DEVNULL if log else subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            cwd=data.parent if data else "/",
            env=environment | ({"PGDATA": str(data)} if data else {}),
            umask=0o077,
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
            extra_groups=[] if account.switch else None,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise EmbeddedServerError(f"{command[0]} cannot be run: {error.strerror}", hint="set DATABASE_URL") from error


def run_as(account: Account, command: list[str], *, input_text: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command as the account to its end; what it prints is captured."""
    with launch(account, command) as process:
        stdout, stderr = process.communicate(input_text)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def can_reach(account: Account, path: Path, kind: str = "-x") -> bool:
    """Whether the account passes `test <kind>` on the path; asks the kernel by trying, so ACLs count too."""
    if not account.switch:
        return True
    return run_as(account, ["/bin/sh", "-c", 'test "$1" "$2"', "sh", kind, str(path)]).returncode == 0


def give(path: Path, account: Account, mode: int) -> None:
    """Set mode and owner of a file or folder that this process made itself."""
    path.chmod(mode)
    if account.switch:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
