"""Every trouble on the way to the database, at every batch of a small load, and while flights are loaded over it."""

import asyncio
import random
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion import connections, store
from kasparro.ingestion.run import Conditions
from kasparro.services import digest
from tests.acceptance.kasparro_process import environment, kasparro
from tests.fix_proxy import Way
from tests.long.flights import ROWS as FLIGHTS
from tests.long.flights import write_flights
from tests.recovery.facts import Facts, facts_of, url_of
from tests.recovery.test_way_to_database import nothing
from tests.recovery.trouble import NAME, ROWS, Troubled, run

pytestmark = pytest.mark.long
PLACES = range(0, len(ROWS) + 1, 3)


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are pinged often, and believed dead soon."""
    monkeypatch.setattr(connections, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connections, "PING_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(store, "ROLLBACK_SECONDS", 0.1)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("trouble", ["cut", "freeze", "half_close"])
async def test_lost_way_is_taken_anew(
    connection: Connection, way: Way, untroubled: Facts, trouble: str, at: int
) -> None:
    async def befall() -> None:
        getattr(way, trouble)()

    outcome = await run(Troubled(befall, at=at), Conditions(way.options))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled


@pytest.mark.parametrize("seed", range(5))
async def test_slow_way_that_is_cut_again_and_again_ends_the_same(
    connection: Connection, way: Way, untroubled: Facts, seed: int
) -> None:
    """5 to 50 ms for each piece, and a cut in one of the next COPYs after every second batch or so."""
    chance = random.Random(seed)
    way.delay_seconds = (0.005, 0.050)
    cuts = 0

    def committed(*_: object) -> None:
        nonlocal cuts
        if cuts < 5 and not way.cut_in_copy and chance.random() < 0.5:
            cuts += 1
            way.cut_in_copy = chance.randint(1, 3)

    outcome = await run(Troubled(nothing), Conditions(way.options, committed=committed))
    assert outcome.error is None
    assert cuts > 0
    assert await facts_of(connection, NAME) == untroubled


async def test_flights_over_a_way_that_stalls_and_is_cut_are_those_of_a_good_way(
    tmp_path: Path, database: ConnectionOptions, connection: Connection, way: Way
) -> None:
    write_flights(tmp_path)
    chance, cuts = random.Random(5), 0

    async def worsen() -> None:
        """A cut in one of a connection's COPYs, late enough for some progress, then a stall of 200 ms; eight times."""
        nonlocal cuts
        while cuts < 8:
            way.cut_in_copy = chance.randint(6, 12)
            await way.was_cut.wait()
            way.was_cut.clear()
            cuts += 1
            way.stall()
            await asyncio.sleep(0.2)
            way.flow()

    env = environment(DATABASE_URL=url_of(way.options) + "&sslmode=disable", KASPARRO_CONCURRENCY="2")
    worsening = asyncio.create_task(worsen())
    ended = await kasparro("run", "--json", "--quiet", env=env, cwd=tmp_path)
    worsening.cancel()
    assert ended.exit_code == 0, ended.stderr
    assert cuts >= 3
    sums = await connection.fetchrow("select sum(inserted) as inserted, sum(fetched) as fetched from etl_runs")
    assert sums is not None
    assert (sums["inserted"], sums["fetched"]) == (FLIGHTS, FLIGHTS)
    good = environment(DATABASE_URL=url_of(database), KASPARRO_CONCURRENCY="2")
    again = await kasparro("run", "--full-refresh", "--json", "--quiet", env=good, cwd=tmp_path)
    [document] = again.document["data"]
    assert (again.exit_code, document["records"]["unchanged"]) == (0, FLIGHTS)
    source_id = await connection.fetchval("select id from sources")
    async with connection.transaction():
        assert await digest.recompute(connection, source_id) == await digest.now(connection, source_id)
