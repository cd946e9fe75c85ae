"""Questions to the database that are answered, or given up, within a bounded time, whatever the server does.

A server that hangs does not answer a driver's request to cancel either, and the driver waits for that answer before it
gives a connection back to its pool: so what is late is neither cancelled nor released, but cut off.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import asyncpg

from kasparro.api.timing import add_database_seconds
from kasparro.core.database import Connection, Pool, house_errors
from kasparro.core.errors import ConnectionLostError, DatabaseFullError, DatabaseReadOnlyError

ANSWER_SECONDS: Final = 0.9
"""For small questions: who waits for a database that is away is told so within a second."""
SUSPECT_AFTER_SECONDS: Final = 0.3
PING_SECONDS: Final = 0.6
"""A longer question may take its time, as long as the server answers a ping as soon as that is suspected, and again."""
ROOM_SECONDS: Final = 2.5
_IDLE: Final = "select exists(select from pg_stat_activity where pid = any($1::integer[]) and state = 'idle')"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Loan:
    """A connection that a question has borrowed, and the server's process behind it: once it is given back, it cannot
    be asked for that any more.
    """

    connection: Connection
    pid: int


_left: "set[asyncio.Task[object]]" = set()
"""Questions that nobody waits for any more: they end by themselves, but must be kept until then."""


async def ask(pool: Pool, question: Callable[[Connection], Awaitable[_Answer]], *, timeout_seconds: float) -> _Answer:
    """The answer to a question put over a connection of the pool.

    Raises ConnectionLostError when there is none in time, and what the question raises, as house errors.
    """
    borrowed: list[_Loan] = []
    task = asyncio.create_task(_put(pool, question, borrowed))
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
    finally:
        if not task.done():
            _cut_off(task, borrowed)
    if not done:
        await pool.expire_connections()  # the others lead to the same server: each would have to be waited for
        raise ConnectionLostError(f"the database did not answer within {timeout_seconds:g} s")
    return task.result()


async def ask_long(
    pool: Pool,
    question: Callable[[Connection], Awaitable[_Answer]],
    *,
    room: asyncio.Semaphore,
    longest_seconds: float,
) -> _Answer:
    """The same for a question that may take `longest_seconds`, as long as the server answers others in time.

    `room` is for fewer questions than the pool has connections, so that one stays free for the others. Raises
    DatabaseFullError when those that were put before leave no room for `ROOM_SECONDS`.
    """
    async with _room_in(room, pool):
        borrowed: list[_Loan] = []
        task = asyncio.create_task(_put(pool, question, borrowed))
        try:
            await _watch({task}, pool, longest_seconds, borrowed)
        finally:
            if not task.done():
                _cut_off(task, borrowed)
    if not task.done():
        raise ConnectionLostError(f"the database did not answer within {longest_seconds:g} s")
    return task.result()


async def _watch(
    tasks: "set[asyncio.Task[_Answer]]", pool: Pool, longest_seconds: float, borrowed: list[_Loan]
) -> None:
    """Return when they are done or the time is over.

    Raises ConnectionLostError as soon as the server is silent, or says twice that it has nothing to do for the
    connection that was borrowed: question or answer were lost on the way.
    """
    loop = asyncio.get_running_loop()
    deadline, idle_before = loop.time() + longest_seconds, False
    while (left := deadline - loop.time()) > 0:
        done, _ = await asyncio.wait(tasks, timeout=min(SUSPECT_AFTER_SECONDS, left))
        if done:
            return
        idle = await ask(pool, lambda connection: _are_idle(connection, borrowed), timeout_seconds=PING_SECONDS)
        if idle and idle_before:
            await pool.expire_connections()
            raise ConnectionLostError("the database has answered a question, but the answer did not arrive")
        idle_before = idle


@asynccontextmanager
async def _room_in(room: asyncio.Semaphore, pool: Pool) -> AsyncGenerator[None]:
    if room.locked():
        waiting = asyncio.create_task(room.acquire())
        try:
            await _watch({waiting}, pool, ROOM_SECONDS, [])
        except BaseException:
            await _give_up(waiting, room)
            raise
        if not waiting.done():
            await _give_up(waiting, room)
            raise DatabaseFullError(f"no connection became free within {ROOM_SECONDS:g} s")
    else:
        await room.acquire()
    try:
        yield
    finally:
        room.release()


async def _give_up(waiting: "asyncio.Task[bool]", room: asyncio.Semaphore) -> None:
    """Wait no longer for room; what came in the last moment is given back."""
    waiting.cancel()
    await asyncio.wait({waiting})
    if not waiting.cancelled():
        room.release()


async def _are_idle(connection: Connection, borrowed: list[_Loan]) -> bool:
    """What the server says of the sessions of these connections; of those that it does not know, nothing."""
    return bool(await connection.fetchval(_IDLE, [loan.pid for loan in borrowed]))


async def _put(pool: Pool, question: Callable[[Connection], Awaitable[_Answer]], borrowed: list[_Loan]) -> _Answer:
    started = time.perf_counter()
    try:
        with house_errors():
            async with pool.acquire() as lent:
                connection = cast("Connection", lent)
                borrowed.append(_Loan(connection, connection.get_server_pid()))
                return await question(connection)
    except DatabaseReadOnlyError:
        await pool.expire_connections()  # after a fail-over new ones may lead to the server that takes writes
        raise
    finally:
        add_database_seconds(time.perf_counter() - started)


def _cut_off(task: "asyncio.Task[_Answer]", borrowed: list[_Loan]) -> None:
    for loan in borrowed:
        with suppress(asyncpg.InterfaceError):  # its answer has just come, and it was given back
            loan.connection.terminate()
    if not borrowed:
        task.cancel()
    _left.add(cast("asyncio.Task[object]", task))
    task.add_done_callback(_forget)


def _forget(task: "asyncio.Task[_Answer]") -> None:
    _left.discard(cast("asyncio.Task[object]", task))
    if not task.cancelled():
        task.exception()  # that of a connection which was cut off: it was answered already
