"""Reads libpq's password file (https://www.postgresql.org/docs/current/libpq-pgpass.html).

Stricter than libpq in one thing: a file that others can read is an error and not a warning, since the "password
authentication failed" that follows a skipped file names the wrong cause.
"""

import re
import stat
from pathlib import Path
from typing import Final

from kasparro.core.errors import DatabaseUrlError

_FIELDS: Final = re.compile(r"((?:\\.|[^:\\])*):" * 4 + r"(.*)")
_ESCAPE: Final = re.compile(r"\\(.)")

Wanted = tuple[str, str, str, str]
"""Host (`localhost` for a socket), port, database and user."""


def read_password(path: Path, wanted: Wanted) -> str | None:
    """The first matching line's password, or None. Raises DatabaseUrlError for a file that is open to others."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DatabaseUrlError(f"passfile {path}: not a plain file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise DatabaseUrlError(f"passfile {path}: others than its owner have access", hint=f"chmod 600 {path}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatabaseUrlError(f"passfile {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DatabaseUrlError(f"passfile {path}: not UTF-8") from None
    return next((password for line in lines if (password := _match(line, wanted)) is not None), None)


def _match(line: str, wanted: Wanted) -> str | None:
    fields = None if line.startswith("#") else _FIELDS.fullmatch(line)
    if fields is None:
        return None
    *patterns, password = (_ESCAPE.sub(r"\1", text) for text in fields.groups())
    fits = all(
        raw == "*" or pattern == value for raw, pattern, value in zip(fields.groups(), patterns, wanted, strict=False)
    )
    return password if fits else None
