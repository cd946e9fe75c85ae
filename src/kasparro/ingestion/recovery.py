"""Which failures a run outlives: it waits until the database takes writes again, within bounds, and then begins anew.

Waiting helps where the server or the way to it is away, shuts down, starts, is full of connections or takes no writes
for now (a fail-over). It does not help where a disk is full, a lock is held or a password refused: the run fails.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from kasparro.core.database import ConnectionOptions, connect, house_errors, may_heal, wait_until_ready
from kasparro.core.errors import (
    ConnectionLostError,
    DatabaseError,
    DatabaseReadOnlyError,
    DatabaseStartingError,
    DatabaseUnreachableError,
    FencedError,
    KasparroError,
    TooManyConnectionsError,
)
from kasparro.services import locks
from kasparro.services.locks import Session

RECONNECT_SECONDS: Final = 60.0
LOSSES_WITHOUT_PROGRESS: Final = 6
FIRST_PAUSE_SECONDS: Final = 1.0
_ALWAYS: Final = (
    ConnectionLostError,
    FencedError,
    DatabaseReadOnlyError,
    DatabaseStartingError,
    TooManyConnectionsError,
)
"""What a run waits for from its first moment: it has lost something, or the server itself says that it will pass."""
MAY_PASS: Final = (*_ALWAYS, DatabaseUnreachableError)
"""What a run that was at work outlives."""
_TURN_SECONDS: Final = 5.0
_END_SECONDS: Final = 20.0
log = structlog.get_logger()


class Recovery:
    """Of one run of one source, however often it begins again.

    After a failure `revive` may start the server; then there are `reconnect_seconds` for it to take writes again.
    Setting `stop` ends every wait.
    """

    def __init__(
        self,
        source: str,
        options: ConnectionOptions,
        *,
        revive: Callable[[], Awaitable[object]],
        reconnect_seconds: float,
        stop: asyncio.Event,
    ) -> None:
        self._source = source
        self._options = options
        self._revive = revive
        self._reconnect_seconds = reconnect_seconds
        self._stop = stop
        self._losses = 0
        self._sessions: list[Session] = []
        self._run_ids: list[int] = []

    def connected(self, session: Session) -> None:
        """The run has used the database: from now on it waits for one that cannot be reached."""
        self._sessions.append(session)

    def began(self, run_id: int) -> None:
        """It has this number now, and its lanes have this name."""
        self._run_ids.append(run_id)

    def progressed(self) -> None:
        """A batch was committed: losses count from zero again."""
        self._losses = 0

    async def after(self, error: KasparroError) -> KasparroError | None:
        """None once the run may begin again from the database; else the error that ends it."""
        if not self._may_pass(error):
            return error
        self._losses += 1
        if self._losses > LOSSES_WITHOUT_PROGRESS:
            return error
        log.warning("run.restarted", source=self._source, message=error.message)
        return await self._unless_stopped(self._ready(), error)

    def _may_pass(self, error: KasparroError) -> bool:
        return isinstance(error, MAY_PASS if self._sessions else _ALWAYS)

    async def _ready(self) -> KasparroError | None:
        """At once the first time, then after pauses that double: what ended it may end it again."""
        if self._losses > 1:
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (self._losses - 2))
        try:
            await self._wait_until_ready()
        except KasparroError as unavailable:
            return unavailable
        await self._end_lost_sessions()
        return None

    async def _wait_until_ready(self) -> None:
        """Revive and wait by turns: a server that was coming back may have ended over it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._reconnect_seconds
        while True:
            await self._revive()
            left = deadline - loop.time()
            try:
                return await wait_until_ready(self._options, min(left, _TURN_SECONDS), writable=True)
            except MAY_PASS as error:
                if left <= _TURN_SECONDS or not may_heal(error):
                    raise

    async def _end_lost_sessions(self) -> None:
        """The server may believe in what this run has lost, and so keep its lock: half of a connection may live on."""
        if not self._sessions:
            return
        try:
            async with asyncio.timeout(_END_SECONDS):
                connection = await connect(self._options, application_name="kasparro:recovery")
                try:
                    with house_errors():
                        await locks.end_sessions(connection, self._run_ids, self._sessions)
                finally:
                    connection.terminate()
        except (DatabaseError, TimeoutError) as error:  # the claim will meet what it is
            log.warning("run.sessions_not_ended", source=self._source, message=str(error) or "no answer in time")

    async def _unless_stopped(
        self, ready: Awaitable[KasparroError | None], error: KasparroError
    ) -> KasparroError | None:
        """What `ready` comes to; the error itself when the run is asked to stop first."""
        waiting = asyncio.ensure_future(ready)
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else error
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.wait({waiting, stopping})
