"""336,776 real rows through a real API server that is not ours: Datasette, which pages by `next_url`.

Datasette comes with the requirements of `make test-long`; `KASPARRO_TEST_DATASETTE` names another executable of it. Its
table holds text, as the CSV file does, so that an equal mapping must give equal digests.
"""

import asyncio
import csv
import os
import random
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.services import digest
from tests.acceptance.kasparro_process import environment, finish, kasparro, start
from tests.long.flights import CONFIGURATION, ROWS, write_flights
from tests.long.test_flights import until_batches
from tests.recovery.facts import url_of

pytestmark = pytest.mark.long

KILLS = 10
BATCH_RECORDS = 5_000
PAGE_ROWS = 1_000
MAPPING = CONFIGURATION.partition("    map:\n")[2]
API = """
  - name: served
    type: api
    url: {url}/flights/flights.json
    params: {{_shape: objects, _size: "1000", _nocount: "1", _nofacet: "1"}}
    records: rows
    pagination: {{type: next_url, next: next_url}}
    allow_private: true
    rate_limit: {{requests: 1000}}
    key: [time_hour, carrier, flight]
    map:
"""


def executable() -> Path:
    """Datasette's command; its absence is a failure, since the requirements of the long tests have it."""
    path = Path(os.environ.get("KASPARRO_TEST_DATASETTE", Path(sys.executable).parent / "datasette"))
    if not path.is_file():
        pytest.fail(f"{path} is missing: `make test-long` installs it")
    return path


def write_database(flights: Path) -> Path:
    """The file as a table of text; cells that mean nothing there are null here."""
    path = flights.with_suffix(".db")
    with flights.open(newline="", encoding="utf-8") as file, sqlite3.connect(path) as database:
        rows = csv.reader(file)
        names = next(rows)
        database.execute(f"create table flights ({', '.join(f'{name} text' for name in names)})")
        values = ([None if cell in ("", "NA") else cell for cell in row] for row in rows)
        database.executemany(f"insert into flights values ({', '.join('?' * len(names))})", values)
    database.close()
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_ready(server: asyncio.subprocess.Process) -> None:
    """Datasette says on standard error when it listens."""
    assert server.stderr is not None
    async with asyncio.timeout(60):
        while b"Uvicorn running" not in (line := await server.stderr.readline()):
            assert line, "Datasette ended early"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a Datasette that serves the flights."""
    path = write_database(write_flights(tmp_path))
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        executable(), "serve", "--immutable", path, "--host", "127.0.0.1", "--port", str(port),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await until_ready(server)
    assert server.stderr is not None
    drained = asyncio.create_task(server.stderr.read())
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    await server.wait()
    await drained


async def run(folder: Path, env: dict[str, str], source: str) -> dict[str, Any]:
    ended = await kasparro("run", source, "--json", "--quiet", env=env, cwd=folder)
    assert ended.exit_code == 0, ended.stderr
    return ended.document["data"][0]


async def test_served_flights_load_the_same_as_the_file_when_killed_at_random_moments(
    tmp_path: Path, served: str, database: ConnectionOptions, connection: Connection
) -> None:
    """Ten SIGKILLs, each after a random share of the batches; then one run to the end, and one more."""
    configuration = CONFIGURATION.rstrip() + "\n" + API.format(url=served) + MAPPING
    (tmp_path / "kasparro.yaml").write_text(configuration, encoding="utf-8")
    env = environment(DATABASE_URL=url_of(database), KASPARRO_BATCH_RECORDS=str(BATCH_RECORDS))
    random_ = random.Random(20261122)
    print(f"\nseed 20261122, {KILLS} kills")
    for number in range(KILLS):
        process = await start("-m", "kasparro", "run", "served", "--quiet", env=env, cwd=tmp_path)
        await until_batches(connection, round(ROWS / BATCH_RECORDS * (number + random_.random()) / KILLS), process)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        ended = await finish(process)
        done = await connection.fetchval("select coalesce(sum(fetched), 0)::int from etl_run_batches")
        print(f"  kill {number + 1}: exit {ended.exit_code} with {done:,} records committed")
    last = await run(tmp_path, env, "served")

    sums = await connection.fetchrow(
        "select sum(inserted)::int, sum(fetched)::int, count(distinct pass_id)::int from etl_runs"
    )
    assert sums is not None
    assert tuple(sums) == (ROWS, ROWS, 1)
    assert await connection.fetchval("select count(*) from raw_api_data") == ROWS
    assert await connection.fetchval("select count(*) from rejected_records") == 0
    source_id = await connection.fetchval("select id from sources where name = 'served'")
    async with connection.transaction():
        assert digest.as_text(await digest.recompute(connection, source_id)) == last["digest"]

    file = await run(tmp_path, env, "flights")
    assert (file["records"]["inserted"], file["digest"]) == (ROWS, last["digest"])

    again = await run(tmp_path, env, "served")
    assert (again["records"]["fetched"], again["records"]["unchanged"], again["raw_written"]) == (ROWS, ROWS, 0)
    assert again["digest"] == last["digest"]
