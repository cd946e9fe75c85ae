"""Hears of queued runs, and lets the API know that somebody does: one connection, opened anew when it is lost."""

import asyncio
import os
from typing import Final

import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect, house_errors
from kasparro.core.errors import ConnectionLostError, DatabaseError
from kasparro.services import run_queue, workers
from kasparro.services.run_queue import QueuedRun

ANSWER_SECONDS: Final = 10.0
"""A server that takes longer for so small a question is believed to hang."""
_LEAVE_SECONDS: Final = 2.0
_SETTINGS: Final = {"synchronous_commit": "off"}
"""That a process has asked is true whether or not the server remembers it after a crash."""
_UNKNOWN_SOURCE: Final = (
    "configuration",
    "the one scheduler that runs has no source of this name in its configuration",
)
log = structlog.get_logger()


class Queue:
    """The queue as one worker sees it. `wake` is set when a run was queued; `close` when nobody asks any more."""

    def __init__(self, options: ConnectionOptions, wake: asyncio.Event) -> None:
        self._options = options
        self._wake = wake
        self._name = workers.name_of(os.getpid())
        self._connection: Connection | None = None

    async def ask(self, sources: list[str]) -> list[QueuedRun]:
        """Queued runs of these sources, oldest first. Raises DatabaseError; the next call then connects anew.

        A run of another source is refused when no other worker is there that might know its source.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._opened()
                with house_errors():
                    return await self._ask(connection, sources)
        except BaseException as error:
            self._drop()
            if isinstance(error, TimeoutError):
                raise ConnectionLostError(f"the database did not answer within {ANSWER_SECONDS:g} s") from error
            raise

    async def close(self) -> None:
        """Take the worker's name back. Where that fails, the name is believed for a minute, and then no more."""
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                connection = await self._opened()
                with house_errors():
                    await workers.leave(connection, self._name)
                    await connection.close()
        except (DatabaseError, TimeoutError) as error:
            log.warning("worker.not_taken_back", message=str(error) or "the database did not answer")
        finally:
            self._drop()

    async def _opened(self) -> Connection:
        if self._connection is None:
            opened = await connect(self._options, application_name="kasparro:scheduler", server_settings=_SETTINGS)
            self._connection = opened
            with house_errors():
                await opened.add_listener(run_queue.CHANNEL, self._on_queued)
                await workers.join(opened, self._name)
        return self._connection

    async def _ask(self, connection: Connection, sources: list[str]) -> list[QueuedRun]:
        await workers.poll(connection, self._name)
        strange = await run_queue.strange(connection, sources)
        if strange and await workers.alive(connection) == [self._name]:
            for run in strange:
                if await run_queue.refuse(connection, run.id, _UNKNOWN_SOURCE):
                    log.warning("run.refused", source=run.source, run_id=run.id, message=_UNKNOWN_SOURCE[1])
        return await run_queue.queued(connection, sources)

    def _on_queued(self, *_: object) -> None:
        self._wake.set()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
