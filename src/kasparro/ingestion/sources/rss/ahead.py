"""Reading that runs ahead of loading: while one document is loaded, the next ones are being fetched and parsed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from kasparro.ingestion.source import Start

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Fetches partitions in their order, at most `ahead` of them before they are taken.

    No more documents than that wait in memory. A fetch that failed raises where it is taken.
    """

    def __init__(self, fetch: Callable[[str, Start], Awaitable[T]], starts: Mapping[str, Start], ahead: int) -> None:
        self._fetch: Final = fetch
        self._starts: Final = starts
        self._order: Final[Sequence[str]] = list(starts)
        self._ahead: Final = ahead
        self._next = 0
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def take(self, partition: str, start: Start) -> T:
        """The partition's document: the one fetched ahead, or a new one where none was announced for this start."""
        announced = self._starts.get(partition)
        expected = announced is not None and (announced.settled, announced.cursor) == (start.settled, start.cursor)
        if partition in self._order[self._next :]:
            self._next = self._order.index(partition) + 1
        taken = self._tasks.pop(partition, None)
        self._begin()
        if taken is None:
            return await self._fetch(partition, start)
        if not expected:
            await _end([taken])
            return await self._fetch(partition, start)
        return await taken

    async def close(self) -> None:
        """Ends the fetches that nobody took."""
        tasks, self._tasks = list(self._tasks.values()), {}
        await _end(tasks)

    def _begin(self) -> None:
        while self._next < len(self._order) and len(self._tasks) < self._ahead:
            partition = self._order[self._next]
            self._next += 1
            work = self._fetch(partition, self._starts[partition])
            self._tasks[partition] = asyncio.ensure_future(_awaited(work))


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _end(tasks: Sequence[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
