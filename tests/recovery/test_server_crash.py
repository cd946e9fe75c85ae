"""The server ends without a word, and with it every batch that it had acknowledged but not yet written to disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kasparro.core.database import ConnectionOptions, connect
from kasparro.core.errors import DatabaseError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.schemas.counters import Counters
from kasparro.services.migrations import upgrade
from tests.fix_database import OwnServer
from tests.recovery.facts import Facts, facts_of
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(40)] + [row("k5", "b"), row("k6")]
FLUSHED_AT = 15
"""Here the reader has everything that was committed written to disk: a crash loses what came after."""


class CrashingSource(ScriptedSource):
    """Crashes the server when it is about to read from a position, once; `restart` brings it back at once."""

    def __init__(self, server: OwnServer, at: int, *, restart: bool) -> None:
        super().__init__({"p": ROWS}, name="crashed")
        self._server = server
        self._at = at
        self._restart = restart
        self.acknowledged = 0

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        position = int(start.cursor["position"]) if start.cursor else 0
        async for item in super().read(partition, start):
            if position == FLUSHED_AT:
                await self._flush()
            if self._at == position:
                self._at = -1
                self._crashing = asyncio.create_task(self._crash())
                await asyncio.shield(self._crashing)
            yield item
            position += len(item.records) if isinstance(item, Batch) else 0

    async def _flush(self) -> None:
        """A commit that waits for the disk takes along what was committed before it."""
        await on(self._server.options, lambda connection: connection.execute("create table if not exists flushed ()"))

    async def _crash(self) -> None:
        """In a task of its own: the run cancels its reader as soon as a lane has lost its connection."""
        await self._server.crash()
        if self._restart:
            await self._server.start()

    def count(self, _source: str, counters: Counters) -> None:
        self.acknowledged += counters.fetched


async def prepare(server: OwnServer) -> Facts:
    """Migrate, and load the same input without a crash."""
    await upgrade(server.options)
    outcome = await run_source(job_of(ScriptedSource({"p": ROWS}, name="whole")), Request(), Conditions(server.options))
    assert outcome.state == "partial"
    return await on(server.options, lambda connection: facts_of(connection, "whole"))


async def on(options: ConnectionOptions, work: Callable[[Any], Any]) -> Any:
    connection = await connect(options, application_name="kasparro:test")
    try:
        return await work(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("at", [0, 3, 15, 30, 42])
async def test_run_that_survives_the_server_starts_again_from_the_database(own_server: OwnServer, at: int) -> None:
    expected = await prepare(own_server)
    source = CrashingSource(own_server, at, restart=True)
    outcome = await run_source(job_of(source), Request(), Conditions(own_server.options, committed=source.count))

    assert outcome.state == "partial", outcome.error
    assert await on(own_server.options, lambda connection: facts_of(connection, "crashed")) == expected
    assert len(source.starts) == 2
    resumed_at = int((source.starts[1].cursor or {"position": 0})["position"])
    assert source.acknowledged == expected.fetched + lost(source, resumed_at)
    assert lost(source, resumed_at) > 0 or at < 30, "the crash was to lose acknowledged batches"
    assert resumed_at > 0 or at < 30, "the crash was to leave what was on disk"


def lost(source: CrashingSource, resumed_at: int) -> int:
    """Records that were acknowledged before the crash and had to be read again."""
    return source.acknowledged - (len(ROWS) - resumed_at) - resumed_at


async def test_run_that_ends_with_the_server_is_finished_by_the_next(own_server: OwnServer) -> None:
    expected = await prepare(own_server)
    source = CrashingSource(own_server, 30, restart=False)
    outcome = await run_source(job_of(source), Request(), Conditions(own_server.options, reconnect_seconds=0.5))
    assert isinstance(outcome.error, DatabaseError)
    assert outcome.error.exit_code == 5

    await own_server.start()
    again = await run_source(job_of(source), Request(), Conditions(own_server.options))
    assert again.state == "partial"
    assert await on(own_server.options, lambda connection: facts_of(connection, "crashed")) == expected


async def test_run_brings_back_a_server_that_it_may_start(own_server: OwnServer) -> None:
    expected = await prepare(own_server)
    source = CrashingSource(own_server, 21, restart=False)
    conditions = Conditions(own_server.options, revive=own_server.start)
    outcome = await run_source(job_of(source), Request(), conditions)
    assert outcome.state == "partial", outcome.error
    assert await on(own_server.options, lambda connection: facts_of(connection, "crashed")) == expected


async def test_closed_run_is_on_disk(own_server: OwnServer) -> None:
    """Closing is synchronous, and flushes every lane commit before it."""
    await prepare(own_server)
    source = ScriptedSource({"p": ROWS}, name="closed")
    outcome = await run_source(job_of(source), Request(), Conditions(own_server.options))
    await own_server.crash()
    await own_server.start()
    facts = await on(own_server.options, lambda connection: facts_of(connection, "closed"))
    assert outcome.row is not None
    assert facts.fetched == outcome.row["fetched"] == len(ROWS)
    assert facts.digest == facts.recomputed
