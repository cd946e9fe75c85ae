"""The server crashes and comes back, again and again, under loads and API traffic: nothing is lost, nothing doubled."""

import asyncio
import random
from pathlib import Path

import pytest

from kasparro.core.database import connect
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.counters import Counters
from kasparro.services.migrations import upgrade
from tests.acceptance.test_database_stopped import load_on, serving
from tests.fix_database import OwnServer
from tests.recovery.facts import facts_of, url_of
from tests.scripted import ScriptedSource, job_of, row

pytestmark = pytest.mark.long
RESTARTS = 50
LANES = 2
ROWS = [row(f"k{n % 9_000}", title=f"t{n % 7}", bad=n % 97 == 3) for n in range(10_000)]


class Restarts:
    """Crashes the server after so many further batches, by chance, and starts it again; counts."""

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        self._random = random.Random(11)
        self._left = self._random.randint(1, 9)
        self._at_work: asyncio.Task[None] | None = None
        self.done = 0

    def committed(self, _source: str, _counters: Counters) -> None:
        self._left -= 1
        if self._left <= 0 and self.done < RESTARTS and (self._at_work is None or self._at_work.done()):
            self._left = self._random.randint(1, 9)
            self._at_work = asyncio.ensure_future(self._restart())

    async def _restart(self) -> None:
        await self._server.crash()
        await self._server.start()
        self.done += 1

    async def settled(self) -> None:
        """Return once the server is up for good."""
        if self._at_work is not None:
            await self._at_work


async def test_loads_end_the_same_however_often_the_server_crashes_and_the_api_recovers(
    tmp_path: Path, port: int, own_server: OwnServer
) -> None:
    await upgrade(own_server.options)
    whole = ScriptedSource({"p": ROWS}, name="whole", batch_size=100)
    assert (await run_source(job_of(whole), Request(lanes=LANES), Conditions(own_server.options))).error is None
    restarts, names = Restarts(own_server), []
    conditions = Conditions(own_server.options, committed=restarts.committed)
    async with serving(tmp_path, port, DATABASE_URL=url_of(own_server.options)) as url, load_on(url) as load:
        while restarts.done < RESTARTS:
            names.append(f"crashed_{len(names)}")
            source = ScriptedSource({"p": ROWS}, name=names[-1], batch_size=100)
            outcome = await run_source(job_of(source), Request(lanes=LANES), conditions)
            assert outcome.error is None
        await restarts.settled()
        await load.until(lambda seen: all(seen[path, 200] >= 10 for path in ("/data?limit=10", "/health")))
    assert load.wrong == []
    assert load.seen["/data?limit=10", 503] > 0
    connection = await connect(own_server.options, application_name="kasparro:test")
    expected = await facts_of(connection, "whole")
    for name in names:
        assert await facts_of(connection, name) == expected, name
    states = await connection.fetch("select distinct state from etl_runs")
    assert {one["state"] for one in states} == {"partial", "interrupted"}
    await connection.close()
    print(f"{restarts.done} restarts in {len(names)} loads; {dict(load.seen)}")
