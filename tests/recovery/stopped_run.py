"""A run, in a process of its own, that stops itself (SIGSTOP) at a place: `python -m tests.recovery.stopped_run`.

Arguments: the database's URL, the place (`idle`, `between`, `copy`), and after how many seconds the server gives a
silent session up (0: as the product has it). Woken up, it goes on as a run does, and prints how that ended.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import asyncpg

from kasparro.core.database import parse_url
from kasparro.ingestion import connections
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.ingestion.store import PostgresLaneStore
from kasparro.schemas.counters import Counters
from tests.scripted import ScriptedSource, job_of, row

NAME = "stopped"
ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(22)]
PLACES = ("idle", "between", "copy")
NTH = 3
"""The call at which it stops: something is committed by then, and something is left."""


def stop_self() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


class StopsWhenIdle(ScriptedSource):
    """Stops when all that it has handed over is committed, and it is about to hand over more."""

    def __init__(self) -> None:
        super().__init__({"p": ROWS}, name=NAME)
        self.committed = 0
        self.news = asyncio.Event()

    def hear(self, _source: str, counters: Counters) -> None:
        self.committed += counters.fetched
        self.news.set()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        read = 0
        async for item in super().read(partition, start):
            if read == 2 * self.batch_size and len(self.starts) == 1:
                while self.committed < read:
                    self.news.clear()
                    await self.news.wait()
                stop_self()
            yield item
            read += len(item.records) if isinstance(item, Batch) else 0


def at_nth(work: Callable[[], None]) -> Callable[[], bool]:
    """Does the work at the n-th call, and says whether it did."""
    calls = [0]

    def call() -> bool:
        calls[0] += 1
        if calls[0] == NTH:
            work()
        return calls[0] == NTH

    return call


def stop_between_statements() -> None:
    """In the lane's transaction: its data is written, its checkpoint is not."""
    original, reached = PostgresLaneStore.write_checkpoint, at_nth(stop_self)

    async def write_checkpoint(self: Any, *arguments: Any) -> None:
        reached()
        await original(self, *arguments)

    cast("Any", PostgresLaneStore).write_checkpoint = write_checkpoint


def stop_inside_a_copy() -> None:
    """With half of its data sent, and the other half to come."""
    connection: Any = asyncpg.connection.Connection
    original, reached = connection.copy_to_table, at_nth(lambda: None)

    async def halves(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        data = b"".join([piece async for piece in pieces])
        yield data[: len(data) // 2]
        stop_self()
        yield data[len(data) // 2 :]

    async def copy_to_table(self: Any, table: str, *, source: AsyncIterator[bytes], **options: Any) -> str:
        return await original(self, table, source=halves(source) if reached() else source, **options)

    connection.copy_to_table = copy_to_table


def hurry(seconds: float) -> None:
    """Let the server give silent sessions up sooner, and ping it more often."""
    for settings in (connections.COORDINATOR_SETTINGS, connections.LANE_SETTINGS):
        for name in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            settings[name] = f"{seconds * 1000:.0f}ms"
    connections.PING_SECONDS = seconds / 4


async def main(url: str, place: str, seconds: float) -> None:
    if seconds:
        hurry(seconds)
    source: Any = StopsWhenIdle() if place == "idle" else ScriptedSource({"p": ROWS}, name=NAME)
    if place == "between":
        stop_between_statements()
    elif place == "copy":
        stop_inside_a_copy()
    committed = source.hear if place == "idle" else lambda *_: None
    outcome = await run_source(job_of(source), Request(lanes=2), Conditions(parse_url(url, {}), committed=committed))
    print(outcome.state, outcome.error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
