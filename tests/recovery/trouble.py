"""A source in the middle of whose reading something happens to the database, and how its runs are judged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from tests.fix_database import cloned
from tests.recovery.facts import Facts, facts_of
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(40)] + [row("k5", "b"), row("k6")]
LANES = 2
NAME = "troubled"
_LONGEST_SECONDS = 60


class Troubled(ScriptedSource):
    """Awaits `trouble` once, when it is about to read from position `at`."""

    def __init__(self, trouble: Callable[[], Any], *, at: int = 21, batch_size: int = 3) -> None:
        super().__init__({"p": ROWS}, name=NAME, batch_size=batch_size)
        self._trouble = trouble
        self._at = at
        self.befell: asyncio.Task[Any] | None = None

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        position = int(start.cursor["position"]) if start.cursor else 0
        async for item in super().read(partition, start):
            if position >= self._at and self.befell is None:
                self.befell = asyncio.ensure_future(self._befall())  # the run may cancel its reader meanwhile
                await asyncio.shield(self.befell)
            yield item
            position += len(item.records) if isinstance(item, Batch) else 0

    async def _befall(self) -> None:
        await self._trouble()


@pytest.fixture(scope="session")
async def untroubled(template_database: str, server: ConnectionOptions, administrator: Connection) -> Facts:
    """What the input of `Troubled` comes to where nothing happens."""
    async with cloned(template_database, server, administrator) as options:
        outcome = await run(ScriptedSource({"p": ROWS}, name=NAME), Conditions(options))
        assert outcome.error is None
        connection = await connect(options, application_name="kasparro:test")
        try:
            return await facts_of(connection, NAME)
        finally:
            await connection.close()


async def run(source: ScriptedSource, conditions: Conditions) -> RunOutcome:
    """One run, within a bounded time."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        return await run_source(job_of(source), Request(lanes=LANES), conditions)


async def states(connection: Connection) -> list[str]:
    """Of the source's runs, oldest first."""
    rows = await connection.fetch(
        "select state from etl_runs r join sources s on s.id = r.source_id where name = $1 order by r.id", NAME
    )
    return [item["state"] for item in rows]
