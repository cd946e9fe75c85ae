"""Work that is attended by the pings of its connections: whatever fails first ends both."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from kasparro.core.errors import KasparroError
from kasparro.ingestion.connections import LiveConnection
from kasparro.ingestion.recovery import MAY_PASS

T = TypeVar("T")


async def attended_by(
    connections: list[LiveConnection], work: Callable[[], Awaitable[T]], *, when_lost: Callable[[], None] | None = None
) -> T:
    """Do the work while the connections are pinged; whatever fails first ends both, and is raised by itself.

    When a ping fails, all of the connections are cut off, and what `when_lost` cuts off: the work must not wait for
    servers that do not answer, not even to roll back.
    """

    async def attend(connection: LiveConnection) -> None:
        try:
            await connection.keep_alive()
        except KasparroError:
            for each in connections:
                each.cut_off()
            if when_lost is not None:
                when_lost()
            raise

    try:
        async with asyncio.TaskGroup() as tasks:
            pings = [tasks.create_task(attend(connection)) for connection in connections]
            try:
                return await work()
            finally:
                for ping in pings:
                    ping.cancel()
    except BaseExceptionGroup as group:
        raise _weightiest(group) from group


def _weightiest(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that decides what happens next: one that a run outlives before all others."""
    flat = list(_flatten(group))
    for kind in (MAY_PASS, KasparroError):
        for error in flat:
            if isinstance(error, kind):
                return error
    return flat[0]


def _flatten(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    flat: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            flat.extend(_flatten(cast("BaseExceptionGroup[BaseException]", error)))
        else:
            flat.append(error)
    return flat
