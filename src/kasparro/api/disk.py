"""Asks for the room on the disk without waiting for a file system that hangs."""

import asyncio
from pathlib import Path

from kasparro.core.disk import DiskSpace, look


class DiskProbe:
    """One question at a time: while it is not answered, nobody asks again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asking: asyncio.Task[DiskSpace] | None = None

    async def ask(self, timeout_seconds: float) -> DiskSpace | None:
        """The room there is; None when the file system does not say."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(look, self._folder))
        done, _ = await asyncio.wait({self._asking}, timeout=timeout_seconds)
        return self._asking.result() if done and self._asking.exception() is None else None
