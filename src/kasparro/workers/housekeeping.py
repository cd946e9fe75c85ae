"""Once a day, drops what is older than the sources want to keep. No failure of it stops the scheduler."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from kasparro.core.database import ConnectionOptions
from kasparro.core.errors import KasparroError
from kasparro.ingestion.operations import retention
from kasparro.ingestion.operations.retention import Ages

if TYPE_CHECKING:
    from kasparro.workers.scheduler import Clock

FIRST: Final = timedelta(minutes=10)
"""After the start, when the sources that were due then have had their turn."""
USUAL: Final = timedelta(days=1)
AGAIN: Final = timedelta(hours=1)
"""After a failure, or where somebody was at work on something that is to go."""
_LONGEST_NAP_SECONDS: Final = 600.0
log = structlog.get_logger()


async def keep_house(
    options: ConnectionOptions, ages: Ages, clock: "Clock", slots: asyncio.Semaphore, stop: asyncio.Event
) -> None:
    """Work until `stop` is set, which also ends what is in hand: it is done again another day. Takes one of the slots,
    while runs of other sources go on; a source whose run is at work keeps what it has until the next time.
    """
    due = clock.now() + FIRST
    while not stop.is_set():
        due = min(due, clock.now() + USUAL)  # the clock may have been put back
        if (left := (due - clock.now()).total_seconds()) > 0:
            await clock.wait(min(left, _LONGEST_NAP_SECONDS), stop)
            continue
        async with slots:
            done = await _apply(options, ages, clock.now(), stop)
        due = clock.now() + (USUAL if done else AGAIN)


async def _apply(options: ConnectionOptions, ages: Ages, at: datetime, stop: asyncio.Event) -> bool:
    """Whether it is done for today."""
    working = asyncio.create_task(retention.apply(options, ages, at))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        return not (await working).skipped
    except KasparroError as error:
        log.warning("retention.failed", message=error.message)
    except Exception as bug:  # a bug here must not stop the loading
        log.exception("retention.failed_unexpectedly", message=f"unexpected {type(bug).__name__}")
    finally:
        for task in (working, stopping):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
    return False
