"""The one place where the driver's errors become house errors, typed by what to do next."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import asyncpg

from kasparro.core.errors import (
    ConnectionLostError,
    ContentionError,
    DatabaseError,
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseStartingError,
    DatabaseUnreachableError,
    KasparroError,
    QueryTimeoutError,
    TooManyConnectionsError,
)

_BY_STATE: Final[dict[str, type[DatabaseError]]] = {
    "25P03": ConnectionLostError,  # idle_in_transaction_session_timeout
    "25P04": ConnectionLostError,  # transaction_timeout
    "40001": ContentionError,
    "40P01": ContentionError,
    "55P03": ContentionError,
    "57014": QueryTimeoutError,  # query_canceled, also statement_timeout
    "57P01": ConnectionLostError,  # admin_shutdown, also pg_terminate_backend
    "57P02": ConnectionLostError,  # crash_shutdown
    "57P03": DatabaseStartingError,  # cannot_connect_now
    "57P04": ConnectionLostError,  # database_dropped
    "57P05": ConnectionLostError,  # idle_session_timeout
    "3D000": DatabaseUnreachableError,  # invalid_catalog_name
    "42501": DatabaseError,  # insufficient_privilege
    "25006": DatabaseReadOnlyError,  # read_only_sql_transaction
    "53300": TooManyConnectionsError,
    "58030": DatabaseError,  # io_error
}
_BY_CLASS: Final[dict[str, type[DatabaseError]]] = {
    "08": ConnectionLostError,
    "28": DatabaseUnreachableError,
    "53": DatabaseFullError,
    "XX": DatabaseError,  # internal errors, corrupted data and indexes
}
_CLOSED: Final = ("connection is closed", "underlying connection is closed")
HINTS: Final[dict[type[DatabaseError], str]] = {
    DatabaseUnreachableError: "is the server up, and does DATABASE_URL name it? `kasparro doctor` looks further",
    DatabaseFullError: "make room on the database server, then run again: it goes on from what the database holds",
    TooManyConnectionsError: "end other connections, or raise max_connections or the role's or database's limit",
    DatabaseReadOnlyError: "name all servers in DATABASE_URL, with target_session_attrs=read-write, or allow writes",
    DatabaseStartingError: "try again in a moment",
    ContentionError: "another session holds what is needed: see pg_stat_activity and pg_locks, then run again",
    ConnectionLostError: "run again: it goes on from what the database holds",
}
_HINTS_BY_STATE: Final = {
    "53100": "free disk space of the database server, then run again: it goes on from what the database holds",
    "53200": "give the database server more memory, or fewer connections and lanes, then run again",
    "57014": "raise or remove statement_timeout for this role and database",
}


def translate(error: BaseException, *, connecting: bool = False, where: str = "database") -> KasparroError | None:
    """The house error for what the driver raised, or None for everything that is not about the connection or server.

    `connecting` is for failures before there is a connection: all of them are DatabaseUnreachableError, unless the
    server itself says otherwise. SQL mistakes and constraint violations are None: they are ours, and go to the top.
    """
    if isinstance(error, KasparroError):
        return None
    kind = _kind(error, connecting=connecting)
    if kind is None:
        return None
    hint = _HINTS_BY_STATE.get(getattr(error, "sqlstate", None) or "") or HINTS.get(kind)
    return kind(f"{where}: {_message(error)}", hint=hint)


@contextmanager
def house_errors(*, connecting: bool = False, where: str = "database") -> Generator[None]:
    """Raise the translation of what is raised inside, with the original as its cause."""
    try:
        yield
    except Exception as error:
        translated = translate(error, connecting=connecting, where=where)
        if translated is None:
            raise
        raise translated from error


def _kind(error: BaseException, *, connecting: bool) -> type[DatabaseError] | None:
    if isinstance(error, asyncpg.PostgresError):
        kind = _kind_of_state(getattr(error, "sqlstate", None) or "")
        return DatabaseUnreachableError if connecting and kind in {None, ConnectionLostError} else kind
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return DatabaseUnreachableError
    if connecting:
        return DatabaseUnreachableError if isinstance(error, OSError | asyncpg.InterfaceError) else None
    if isinstance(error, asyncpg.InternalClientError):  # the server's last words came in between two operations
        return ConnectionLostError
    if isinstance(error, asyncpg.InterfaceError):
        lost = any(words in str(error) for words in _CLOSED) or _follows_a_loss(error)
        return ConnectionLostError if lost else None
    return ConnectionLostError if _is_network_error(error) else None


def _follows_a_loss(error: BaseException) -> bool:
    """Whether the driver only refuses to roll back over what has just been lost."""
    before = error.__context__
    return before is not None and _kind(before, connecting=False) is ConnectionLostError


def _kind_of_state(state: str) -> type[DatabaseError] | None:
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2])


def _is_network_error(error: BaseException) -> bool:
    """TimeoutError, ConnectionError and the like; an OSError about a file names it, one about a socket does not."""
    return isinstance(error, OSError) and error.filename is None


def _message(error: BaseException) -> str:
    """Without DETAIL, which may show a row's values."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = str(error.args[0]) if isinstance(error, asyncpg.PostgresError) and error.args else str(error)
    return text or type(error).__name__
