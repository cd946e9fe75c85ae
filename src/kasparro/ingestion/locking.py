"""Taking a source's lock: polled, within a bounded time."""

import asyncio
from typing import Final

from kasparro.core.database import Connection
from kasparro.core.errors import RunConflictError, StoppedError
from kasparro.services import locks
from kasparro.services.sources import SourceInfo

LOCK_WAIT_SECONDS = 10.0
_LOCK_POLL_SECONDS: Final = 0.1


async def lock(
    connection: Connection, source: SourceInfo, wait_seconds: float | None = None, stop: asyncio.Event | None = None
) -> None:
    """Raises RunConflictError after `wait_seconds` (10 s), StoppedError as soon as `stop` is set."""
    deadline = asyncio.get_running_loop().time() + (LOCK_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    while not await locks.try_lock(connection, source.id):
        if stop is not None and stop.is_set():
            raise StoppedError(f"source {source.name}: stopped while another run holds it")
        if asyncio.get_running_loop().time() >= deadline:
            raise RunConflictError(
                f"source {source.name}: another run holds it", hint="wait for it to end, see `kasparro runs list`"
            )
        await asyncio.sleep(_LOCK_POLL_SECONDS)
