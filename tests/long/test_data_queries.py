"""`GET /data` over 336,776 flights: the same questions in SQL, and walks by cursor while a load runs."""

import asyncio
import csv
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kasparro.api.app import create_app
from kasparro.api.server import SERVER_SETTINGS
from kasparro.core.database import Connection, ConnectionOptions, create_pool
from tests.acceptance.kasparro_process import environment, start
from tests.data_queries import QUESTIONS, Question, ids
from tests.long.flights import ROWS, write_flights
from tests.long.test_flights import until_batches
from tests.recovery.facts import url_of

pytestmark = pytest.mark.long
NEW_ROWS = 20_000


async def load(folder: Path, database: ConnectionOptions) -> asyncio.subprocess.Process:
    """Start `kasparro run` over the folder's file."""
    return await start("-m", "kasparro", "run", "--quiet", env=environment(DATABASE_URL=url_of(database)), cwd=folder)


async def succeeded(process: asyncio.subprocess.Process) -> None:
    _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()


@pytest.fixture
async def flights(tmp_path: Path, database: ConnectionOptions, connection: Connection) -> Path:
    """The file, loaded."""
    file = write_flights(tmp_path)
    await succeeded(await load(tmp_path, database))
    await connection.execute("vacuum analyze unified_data")
    return file


@pytest.fixture
async def client(database: ConnectionOptions) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, with the connections that the server has."""
    pool = await create_pool(
        database, application_name="kasparro:test-api", max_size=4, server_settings=SERVER_SETTINGS
    )
    transport = httpx.ASGITransport(create_app(pool), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro", timeout=60) as client:
        yield client
    await pool.close()


class Pages:
    """Pages of one list, one after the other."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url: str | None = url

    async def read(self) -> list[int] | None:
        """Ids of the next page; None when there is none."""
        if self._url is None:
            return None
        response = await self._client.get(self._url)
        assert response.status_code == 200, f"{self._url}: {response.text}"
        self._url = response.links["next"]["url"] if "next" in response.links else None
        return [record["id"] for record in response.json()["data"]]

    async def all(self) -> list[int]:
        found: list[int] = []
        while (page := await self.read()) is not None:
            found += page
        return found


async def agrees(client: httpx.AsyncClient, question: Question, expected: list[int]) -> bool:
    """Two pages from the start, two from the middle (the first by offset, the second by its cursor), and the total."""
    url = f"/data?limit=1000&fields=id&{question.query}"
    middle = len(expected) // 2
    beginning, later = Pages(client, url), Pages(client, f"{url}&offset={middle}")
    found = [(await beginning.read() or []) + (await beginning.read() or [])]
    found += [(await later.read() or []) + (await later.read() or [])]
    page = (await client.get(f"{url}&count=exact&offset=1")).json()["page"]
    return found == [expected[:2000], expected[middle : middle + 2000]] and page["total"] == len(expected)


@pytest.mark.usefixtures("flights")
async def test_questions_to_the_flights_are_answered_as_by_sql(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    wrong: list[str] = []
    empty = 0
    for question in QUESTIONS:
        expected = await ids(connection, question)
        empty += not expected
        if not await agrees(client, question, expected):
            wrong.append(question.query)
    print(f"\n{len(QUESTIONS)} questions, {empty} of them without an answer")
    assert wrong == []
    assert len(QUESTIONS) - empty >= 60
    for query, order in (("sort=-occurred_at", "u.occurred_at desc nulls last, u.id desc"), ("", "u.id")):
        expected = await ids(connection, Question("", order=order))
        assert len(expected) == ROWS
        assert await Pages(client, f"/data?limit=1000&fields=id&{query}").all() == expected


def change(file: Path) -> None:
    """Another version of the file: every third flight late by a day, and so many flights more."""
    with file.open(newline="", encoding="utf-8") as opened:
        header, *rows = csv.reader(opened)
    late, number = header.index("dep_delay"), header.index("flight")
    for row in rows[::3]:
        row[late] = "1440"
    more = [[*row[:number], f"9{row[number]}9", *row[number + 1 :]] for row in rows[:NEW_ROWS]]
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([header, *more, *rows])


async def test_walks_while_a_load_runs_see_what_was_there_exactly_once(
    flights: Path, client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    before = set(await ids(connection, Question("")))
    assert len(before) == ROWS
    batches: int = await connection.fetchval("select count(*) from etl_run_batches")
    change(flights)
    process = await load(flights.parent, database)
    await until_batches(connection, batches + 1, process)
    assert process.returncode is None
    walks, changed = 0, 0
    ending = asyncio.create_task(succeeded(process))
    while not walks or not ending.done():
        assert not ending.done(), "the load ended before the first walk"
        found = await Pages(client, "/data?limit=1000&sort=id&fields=id").all()
        assert len(found) == len(set(found))
        assert before <= set(found)
        walks, changed = walks + 1, changed + (len(found) > ROWS)
    await ending
    print(f"\n{walks} walks over {ROWS:,} rows and more, {changed} of them saw new ones")
    assert changed
    last = await Pages(client, "/data?limit=1000&sort=id&fields=id").all()
    assert len(last) == len(set(last)) == await connection.fetchval("select count(*) from unified_data")
    assert await connection.fetchval("select sum(updated) from etl_run_batches") >= ROWS // 4
