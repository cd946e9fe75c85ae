"""Opens connections: named, in UTC, without JIT, and only to servers that are new enough."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg

from kasparro.core.database.options import ConnectionOptions
from kasparro.core.database.tls import driver_tls
from kasparro.core.database.translation import HINTS, house_errors
from kasparro.core.errors import (
    ConnectionLostError,
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    DatabaseVersionError,
    KasparroError,
)

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

MINIMUM_VERSION: Final = 15
_SETTINGS: Final = {"jit": "off", "timezone": "UTC"}
"""The planner's JIT costs more than our short statements take; times are read and shown in UTC."""
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
"""After 30 s without a sign of the peer's kernel (tcp(7)) a connection is lost, also one that waits for an answer."""
_FIRST_WAIT_SECONDS: Final = 0.05
_LONGEST_WAIT_SECONDS: Final = 1.0
_MAY_HEAL: Final = (DatabaseUnreachableError, DatabaseFullError, DatabaseReadOnlyError, ConnectionLostError)
_WILL_NOT_HEAL: Final = ("28", "3D")
_LOOK_SECONDS: Final = 10.0
"""For a connection and a word of the server, which may be gone without a word."""


async def connect(
    options: ConnectionOptions,
    *,
    application_name: str,
    server_settings: Mapping[str, str] | None = None,
    minimum_version: int = MINIMUM_VERSION,
) -> Connection:
    """Open a connection; `server_settings` win over the options' own, which win over ours.

    Raises DatabaseUnreachableError, DatabaseFullError (no connection left), DatabaseVersionError or DatabaseUrlError.
    """
    arguments = _arguments(options, application_name, server_settings)
    with house_errors(connecting=True, where=str(options)):
        connection = await asyncpg.connect(**arguments)
    await _notice_dead_peer(connection)
    await _require_version(connection, options, minimum_version)
    return connection


async def create_pool(
    options: ConnectionOptions,
    *,
    application_name: str,
    max_size: int = 10,
    server_settings: Mapping[str, str] | None = None,
) -> Pool:
    """A pool of the same connections, for short reads and writes; never for session locks, which it releases.

    They are opened when they are needed, and none is missed while the database is away.
    """
    checked = await connect(options, application_name=application_name, server_settings=server_settings)
    await checked.close()
    arguments = _arguments(options, application_name, server_settings)
    with house_errors(connecting=True, where=str(options)):
        return await asyncpg.create_pool(min_size=0, max_size=max_size, init=_notice_dead_peer, **arguments)


async def wait_until_ready(options: ConnectionOptions, timeout_seconds: float, *, writable: bool = False) -> None:
    """Return once the server takes connections, for instance after a restart or recovery; `writable`: and writes.

    Raises the last error after `timeout_seconds`; a refused password or an unknown database at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    wait_seconds = _FIRST_WAIT_SECONDS
    while True:
        try:
            return await _look(options, writable=writable)
        except _MAY_HEAL as error:
            if not may_heal(error) or loop.time() + wait_seconds > deadline:
                raise
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)


def may_heal(error: KasparroError) -> bool:
    """Whether waiting may help: not against a refused password, and not for a database that is not there."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")[:2] not in _WILL_NOT_HEAL


async def _look(options: ConnectionOptions, *, writable: bool) -> None:
    """Raises what `connect` raises, ConnectionLostError, and DatabaseReadOnlyError where there is no `writable` one."""
    brief = replace(options, connect_timeout_seconds=min(options.connect_timeout_seconds, _LOOK_SECONDS))
    connection = await connect(brief, application_name="kasparro:wait")
    try:
        with house_errors(where=str(options)):
            refusing = await connection.fetchval("show transaction_read_only", timeout=_LOOK_SECONDS)
            await connection.close(timeout=_LOOK_SECONDS)
    finally:
        connection.terminate()
    if writable and refusing == "on":
        raise DatabaseReadOnlyError(f"{options}: the server takes no writes", hint=HINTS[DatabaseReadOnlyError])


def _arguments(
    options: ConnectionOptions, application_name: str, server_settings: Mapping[str, str] | None
) -> dict[str, Any]:
    """Every argument that the driver would else look up in the environment is given."""
    return {
        "host": list(options.hosts),
        "port": list(options.ports),
        "user": options.user,
        "password": options.password.get_secret_value() if options.password else "",
        "database": options.database,
        "timeout": options.connect_timeout_seconds * len(options.hosts),
        "ssl": driver_tls(options.tls),
        "direct_tls": options.tls.direct,
        "target_session_attrs": options.target_session_attrs,
        "server_settings": {
            **_SETTINGS,
            **options.server_settings,
            **(server_settings or {}),
            "application_name": application_name,
        },
    }


async def _notice_dead_peer(connection: Connection) -> None:
    """The driver waits for ever for a server whose machine is gone, unless its kernel asks whether it is there."""
    peer: socket.socket = connection._transport.get_extra_info("socket")  # noqa: SLF001  there is no other way to it
    if peer.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _require_version(connection: Connection, options: ConnectionOptions, minimum: int) -> None:
    version = cast("tuple[int, ...]", connection.get_server_version())
    if version[0] >= minimum:
        return
    await connection.close()
    raise DatabaseVersionError(
        f"{options}: the server is PostgreSQL {version[0]}, kasparro needs {minimum} or newer",
        hint="upgrade the server, or unset DATABASE_URL to use the embedded one",
    )
