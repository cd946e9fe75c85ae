"""Where the files of one embedded server are: the same answer in every process, whatever its environment."""

import errno
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kasparro.core.embedded.account import Account, can_reach, give, server_account
from kasparro.core.embedded.installation import SYSTEM_ROOT
from kasparro.core.errors import EmbeddedServerError

PORT: Final = 5432
"""Only part of the socket's name: the server listens on no network address."""
_LONGEST_SOCKET_BYTES: Final = 103
"""107 on Linux, 103 on macOS (`sun_path` without its NUL)."""
_SHORT_ROOT: Final = Path("/tmp")  # noqa: S108  (folders in it are checked for owner and mode)


@dataclass(frozen=True, slots=True)
class Layout:
    """`root` belongs to this process's user; `data`, `logs` and `sockets` to the account, for nobody else to enter."""

    root: Path
    sockets: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def configuration(self) -> Path:
        return self.root / "postgresql.conf"

    @property
    def password(self) -> Path:
        return self.root / "password"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def stopped(self) -> Path:
        """There while the server is stopped because somebody said so."""
        return self.root / "stopped"

    @property
    def socket(self) -> Path:
        return self.sockets / f".s.PGSQL.{PORT}"


def layout_for(home: Path, system_root: Path = SYSTEM_ROOT) -> Layout:
    """The layout for `home`. As root, under `system_root` when the server's user cannot reach `home`."""
    nearest = _nearest_existing(home)
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    near, far = home / "postgres", system_root / "servers" / _digest(home)
    if os.geteuid() != 0 or (near / "data").exists():
        return _layout_in(near)
    if (far / "data").exists() or not can_reach(server_account(near / "data"), nearest):
        return _layout_in(far)
    return _layout_in(near)


def make_root(layout: Layout) -> None:
    """Make the folder that the lock file is in. Permissions of folders that were there are not touched."""
    missing = [folder for folder in (layout.root, *layout.root.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711 if layout.account.switch else 0o700)


def make_private_folders(layout: Layout) -> None:
    """Make the folders that are the account's alone. Call with the lock held.

    Raises EmbeddedServerError when the socket's folder is somebody else's, or open to others.
    """
    for folder in (layout.logs, layout.sockets):
        if not folder.exists():
            _make_private(folder, layout.account)
    _require_private(layout.sockets, layout.account)


def _make_private(folder: Path, account: Account) -> None:
    """Make it under another name and then rename: killed on the way, nobody finds a folder of the wrong owner."""
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    give(staging, account, 0o700)
    staging.rename(folder)


def _layout_in(root: Path) -> Layout:
    account = server_account(root / "data")
    return Layout(root, _sockets(root, account), account)


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _digest(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=6).hexdigest()


def _sockets(root: Path, account: Account) -> Path:
    near = root / "run"
    if len(os.fsencode(near / f".s.PGSQL.{PORT}.lock")) <= _LONGEST_SOCKET_BYTES:
        return near
    return _SHORT_ROOT / f"kasparro-{account.uid}-{_digest(root)}"


def _require_private(folder: Path, account: Account) -> None:
    """A folder below /tmp may have been made by somebody else, to catch our password."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder} is not a private folder of user {account.uid}", hint="remove it, or set KASPARRO_HOME elsewhere"
        )
