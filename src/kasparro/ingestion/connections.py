"""A run's connections: never from a pool, named after the run, pinged while nobody uses them.

The server ends a session whose client has stopped (`idle_session_timeout`), which frees the source's lock; the pings
keep a live client's sessions alive. https://www.postgresql.org/docs/current/runtime-config-client.html
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast

import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect, house_errors
from kasparro.core.errors import DatabaseError

PING_SECONDS = 15.0
PING_TIMEOUT_SECONDS = 20.0
CLOSE_TIMEOUT_SECONDS = 5.0
log = structlog.get_logger()
_SESSION: Final = {
    "idle_session_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "client_connection_check_interval": "10s",
    "default_transaction_isolation": "read committed",
}
COORDINATOR_SETTINGS: Final = {**_SESSION, "synchronous_commit": "on", "lock_timeout": "5s"}
LANE_SETTINGS: Final = {
    **_SESSION,
    "synchronous_commit": "off",
    "work_mem": "64MB",
    "random_page_cost": "1.1",
    "enable_seqscan": "off",
    "jit": "off",
}
"""Asynchronous commits: data and checkpoint are lost together or not at all, and the closing one flushes them all.

A lane looks rows up by their keys and never reads a table: the planner, whose statistics may be older than the source,
is not to think otherwise.
"""


class LiveConnection:
    """One connection, used by one task at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self.when_pinged: Callable[[Connection], Awaitable[object]] | None = None
        """What else to do whenever the connection is pinged."""

    @classmethod
    async def open(cls, options: ConnectionOptions, *, application_name: str, settings: dict[str, str]) -> Self:
        """Raises what `connect` raises."""
        return cls(await connect(options, application_name=application_name, server_settings=settings))

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Connection]:
        """The connection, for this task alone; driver errors become house errors."""
        async with self._lock:
            with house_errors():
                yield self._connection

    async def keep_alive(self) -> None:
        """Ping whenever the connection is free, until cancelled. Raises ConnectionLostError."""
        while True:
            await asyncio.sleep(PING_SECONDS)
            if not self._lock.locked():
                async with self.use() as connection:
                    await connection.execute("select 1", timeout=PING_TIMEOUT_SECONDS)
                    if self.when_pinged is not None:
                        await self.when_pinged(connection)

    def sever(self) -> None:
        """End the connection at its socket, without a word to the driver, as a network may."""
        cast("Any", self._connection)._transport.abort()  # noqa: SLF001  the driver offers no way to lose its peer

    def cut_off(self) -> None:
        """End the connection at once, whoever uses it: what waits for the server fails, and is rolled back there."""
        self._connection.terminate()

    async def close(self) -> None:
        """Close, without waiting for a server that does not answer. What is lost by then was lost before."""
        try:
            with house_errors():
                await self._connection.close(timeout=CLOSE_TIMEOUT_SECONDS)
        except DatabaseError as error:
            log.debug("connection.not_closed", message=error.message)
        finally:
            self._connection.terminate()
