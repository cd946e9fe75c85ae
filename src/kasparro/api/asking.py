"""Questions to the database that are answered, or given up, within a bounded time, whatever the server does.

A server that hangs does not answer a driver's request to cancel either, and the driver waits for that answer before it
gives a connection back to its pool: so what is late is neither cancelled nor released, but cut off.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from kasparro.api.timing import add_database_seconds
from kasparro.core.database import Connection, Pool, house_errors
from kasparro.core.errors import ConnectionLostError, DatabaseFullError

_Answer = TypeVar("_Answer")
_left: "set[asyncio.Task[object]]" = set()
"""Questions that nobody waits for any more: they end by themselves, but must be kept until then."""


async def ask(pool: Pool, question: Callable[[Connection], Awaitable[_Answer]], *, timeout_seconds: float) -> _Answer:
    """The answer to a question put over a connection of the pool.

    Raises ConnectionLostError when there is none in time, and what the question raises, as house errors.
    """
    borrowed: list[Connection] = []
    task = asyncio.create_task(_put(pool, question, borrowed))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
    finally:
        if not task.done():
            _cut_off(task, borrowed)
    if not done:
        raise ConnectionLostError(f"the database did not answer within {timeout_seconds:g} s")
    return task.result()


async def ask_long(
    pool: Pool,
    question: Callable[[Connection], Awaitable[_Answer]],
    *,
    room: asyncio.Semaphore,
    timeout_seconds: float,
    longest_seconds: float,
) -> _Answer:
    """The same for a question that may take `longest_seconds`, as long as the server answers others in time.

    `room` is for fewer questions than the pool has connections, so that one stays free for the others. Raises
    DatabaseFullError when those that were put before leave no room for `timeout_seconds`.
    """
    async with _room_in(room, timeout_seconds):
        borrowed: list[Connection] = []
        task = asyncio.create_task(_put(pool, question, borrowed))
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
            if not done:
                await ask(pool, _ping, timeout_seconds=timeout_seconds)
                done, _ = await asyncio.wait({task}, timeout=longest_seconds - timeout_seconds)
        finally:
            if not task.done():
                _cut_off(task, borrowed)
    if not done:
        raise ConnectionLostError(f"the database did not answer within {longest_seconds:g} s")
    return task.result()


@asynccontextmanager
async def _room_in(room: asyncio.Semaphore, timeout_seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout_seconds if room.locked() else None):
            await room.acquire()
    except TimeoutError:
        raise DatabaseFullError(f"no connection became free within {timeout_seconds:g} s") from None
    try:
        yield
    finally:
        room.release()


async def _ping(connection: Connection) -> None:
    await connection.execute("select 1")


async def _put(pool: Pool, question: Callable[[Connection], Awaitable[_Answer]], borrowed: list[Connection]) -> _Answer:
    started = time.perf_counter()
    try:
        with house_errors():
            async with pool.acquire() as lent:
                connection = cast("Connection", lent)
                borrowed.append(connection)
                return await question(connection)
    finally:
        add_database_seconds(time.perf_counter() - started)


def _cut_off(task: "asyncio.Task[_Answer]", borrowed: list[Connection]) -> None:
    for connection in borrowed:
        connection.terminate()
    if not borrowed:
        task.cancel()
    _left.add(cast("asyncio.Task[object]", task))
    task.add_done_callback(_forget)


def _forget(task: "asyncio.Task[_Answer]") -> None:
    _left.discard(cast("asyncio.Task[object]", task))
    if not task.cancelled():
        task.exception()  # that of a connection which was cut off: it was answered already
