"""336,776 real rows: loaded whole, loaded twice, and loaded by processes that are killed at random moments."""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services import digest
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import environment, finish, kasparro, start
from tests.fix_database import OwnServer
from tests.long.flights import ROWS, write_flights
from tests.recovery.facts import url_of

KILLS = 10


class Flights:
    """The file, and the database that it goes to."""

    def __init__(self, folder: Path, options: ConnectionOptions) -> None:
        self.file = write_flights(folder)
        self.folder = folder
        self.env = environment(DATABASE_URL=url_of(options))

    async def run(self) -> dict[str, Any]:
        ended = await kasparro("run", "--json", "--quiet", env=self.env, cwd=self.folder)
        assert ended.exit_code == 0, ended.stderr
        return ended.document["data"][0]


@pytest.fixture
def flights(tmp_path: Path, database: ConnectionOptions) -> Flights:
    return Flights(tmp_path, database)


async def written_rows(connection: Connection) -> dict[str, tuple[int, int]]:
    """Inserts and updates of each data table, as the server has counted them."""
    await connection.execute("select pg_stat_force_next_flush()")
    rows = await connection.fetch(
        "select relname, n_tup_ins, n_tup_upd from pg_stat_user_tables "
        "where relname = 'unified_data' or relname like 'raw_csv%'"
    )
    return {row["relname"]: (row["n_tup_ins"], row["n_tup_upd"]) for row in rows}


async def test_flights_load_whole_and_a_second_pass_writes_nothing(flights: Flights, connection: Connection) -> None:
    first = await flights.run()
    assert first["records"] == {
        "fetched": ROWS, "inserted": ROWS, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 0,
        "filtered": 0, "deleted": 0,
    }  # fmt: skip
    assert first["raw_written"] == ROWS
    assert await connection.fetchval("select count(*) from unified_data") == ROWS
    assert await connection.fetchval("select count(*) from raw_csv_data") == ROWS

    before = await written_rows(connection)
    os.utime(flights.file)
    second = await flights.run()
    assert (second["records"]["fetched"], second["records"]["unchanged"]) == (ROWS, ROWS)
    assert second["raw_written"] == 0
    assert second["digest"] == first["digest"]
    assert await written_rows(connection) == before

    third = await flights.run()
    assert third["records"]["fetched"] == 0


async def test_flights_load_the_same_when_killed_at_random_moments(flights: Flights, connection: Connection) -> None:
    """Ten SIGKILLs, each after a random share of the batches that are left; then one run to the end."""
    random_ = random.Random(20261122)
    print(f"\nseed 20261122, {KILLS} kills")
    for number in range(KILLS):
        process = await start("-m", "kasparro", "run", "--quiet", env=flights.env, cwd=flights.folder)
        target = round(17 * (number + random_.random()) / KILLS)
        await until_batches(connection, target, process)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        ended = await finish(process)
        done = await connection.fetchval("select coalesce(sum(fetched), 0)::int from etl_run_batches")
        print(f"  kill {number + 1}: exit {ended.exit_code} with {done:,} records committed")
    last = await flights.run()

    sums = await connection.fetchrow("select sum(inserted + updated)::int, sum(fetched)::int from etl_runs")
    assert sums is not None
    assert tuple(sums) == (ROWS, ROWS)
    assert await connection.fetchval("select count(*) from raw_csv_data") == ROWS
    assert await connection.fetchval("select count(*) from rejected_records") == 0
    source_id = await connection.fetchval("select id from sources")
    async with connection.transaction():
        assert digest.as_text(await digest.recompute(connection, source_id)) == last["digest"]
    reference = await uninterrupted_digest(flights)
    assert last["digest"] == reference


async def test_flights_load_the_same_when_the_server_crashes_under_a_run_that_survives(
    tmp_path: Path, own_server: OwnServer
) -> None:
    """Three times `pg_ctl stop -m immediate`; the one process reconnects each time and claims anew."""
    await upgrade(own_server.options)
    flights = Flights(tmp_path, own_server.options)
    process = await start("-m", "kasparro", "run", "--json", "--quiet", env=flights.env, cwd=flights.folder)
    for target in (3, 8, 13):
        connection = await connect(own_server.options, application_name="kasparro:test")
        await until_batches(connection, target, process)
        assert process.returncode is None
        await own_server.crash()
        connection.terminate()
        await own_server.start()
    ended = await finish(process)
    assert ended.exit_code == 0, ended.stderr

    connection = await connect(own_server.options, application_name="kasparro:test")
    sums = await connection.fetchrow("select sum(inserted)::int, sum(fetched)::int, count(*)::int from etl_runs")
    assert sums is not None
    assert tuple(sums) == (ROWS, ROWS, 4)
    assert await connection.fetchval("select count(*) from raw_csv_data") == ROWS
    await connection.close()
    assert ended.document["data"][0]["digest"] == await uninterrupted_digest(flights)


async def until_batches(connection: Connection, count: int, process: asyncio.subprocess.Process) -> None:
    """Wait until so many batches are committed (over all runs), or the process has ended by itself."""
    while process.returncode is None:
        if await connection.fetchval("select count(*) from etl_run_batches") >= count:
            return
        try:
            await asyncio.wait_for(process.wait(), 0.05)
        except TimeoutError:
            continue


async def uninterrupted_digest(flights: Flights) -> str:
    """The digest of the same file loaded by one run, as another source."""
    configuration = flights.folder / "kasparro.yaml"
    configuration.write_text(configuration.read_text(encoding="utf-8").replace("name: flights", "name: whole"))
    document = await flights.run()
    assert document["records"]["inserted"] == ROWS
    return document["digest"]
