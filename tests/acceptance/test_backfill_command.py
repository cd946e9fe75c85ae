"""`kasparro backfill` as people start it: windows, kills, signals, who waits for the source, wrong questions."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.cli.backfill import parse_window
from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import UsageError
from kasparro.ingestion.locking import lock
from kasparro.services import locks, sources
from tests.acceptance.kasparro_process import Ended, environment, finish, kasparro, start
from tests.archives import Archive, item
from tests.http_server import Hang, Reply, Request, raw, running
from tests.recovery.facts import url_of

JANUARY = ("--from", "2026-01-01", "--to", "2026-01-04")


class Place:
    """An archive, a folder with a configuration, and the database that it is loaded into."""

    def __init__(self, archive: Archive, folder: Path, options: ConnectionOptions) -> None:
        self.archive = archive
        self.folder = folder
        self.env = environment(DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"))
        (folder / "kasparro.yaml").write_text(archive.yaml(), encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)

    async def backfill(self, *arguments: str) -> Ended:
        return await self.kasparro("backfill", "items", *JANUARY, *arguments)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        command = ("-m", "kasparro", "backfill", "items", *JANUARY, *arguments)
        return await start(*command, env=self.env, cwd=self.folder)


@pytest.fixture
async def place(tmp_path: Path, database: ConnectionOptions) -> AsyncIterator[Place]:
    """Three days with one record each."""
    async with running() as upstream:
        yield Place(Archive(upstream, [item(day, f"0{day}T12") for day in (1, 2, 3)]), tmp_path, database)


def hang_at(archive: Archive, since: str) -> asyncio.Event:
    """Answer no more from that window on; set when it is asked for."""
    asked = asyncio.Event()

    def hang(request: Request) -> Reply | None:
        if not request.query["since"].startswith(since):
            return None
        asked.set()
        return raw(Hang())

    archive.before = hang
    return asked


def windows(ended: Ended) -> list[tuple[str, str, str, int]]:
    return [
        (chunk["from"][:10], chunk["to"][:10], chunk["state"], (chunk["records"] or {"inserted": 0})["inserted"])
        for chunk in ended.document["chunks"]
    ]


async def test_window_is_read_day_by_day(place: Place, connection: Connection) -> None:
    ended = await place.backfill("--json")
    assert ended.exit_code == 0, ended.stderr
    document = ended.document
    assert windows(ended) == [
        ("2026-01-01", "2026-01-02", "succeeded", 1),
        ("2026-01-02", "2026-01-03", "succeeded", 1),
        ("2026-01-03", "2026-01-04", "succeeded", 1),
    ]
    assert {name: document[name] for name in ("source", "state", "from", "to", "chunk_seconds", "done_until")} == {
        "source": "items", "state": "done", "from": "2026-01-01T00:00:00Z", "to": "2026-01-04T00:00:00Z",
        "chunk_seconds": 86400, "done_until": "2026-01-04T00:00:00Z",
    }  # fmt: skip
    assert "items 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z: 1 records, done in" in ended.stderr
    assert await connection.fetchval("select count(*) from etl_runs where operation = 'backfill'") == 3

    again = await place.backfill("--chunk", "3d")
    assert again.exit_code == 0, again.stderr
    assert "backfill 2: done" in again.stdout
    assert "2026-01-01T00:00:00Z   2026-01-04T00:00:00Z" in again.stdout


async def test_killed_backfill_goes_on_with_the_chunk_in_hand(place: Place, connection: Connection) -> None:
    asked = hang_at(place.archive, "2026-01-02")
    process = await place.start()
    async with asyncio.timeout(60):
        await asked.wait()
    process.kill()
    await finish(process)
    assert await connection.fetchval("select done_until::date::text from backfills") == "2026-01-02"

    place.archive.before = lambda _request: None
    place.archive.asked()
    ended = await place.backfill("--json")
    assert ended.exit_code == 0, ended.stderr
    assert "backfill 1: goes on from 2026-01-02T00:00:00Z, where it was left" in ended.stderr
    assert [window[0] for window in windows(ended)] == ["2026-01-02", "2026-01-03"]
    assert {since for since, _, _ in place.archive.asked()} == {"2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"}
    states = await connection.fetch("select state from etl_runs order by id")
    assert [row["state"] for row in states] == ["succeeded", "interrupted", "succeeded", "succeeded"]


async def test_signal_ends_the_chunk_in_hand_and_all_behind_it(place: Place, connection: Connection) -> None:
    asked = hang_at(place.archive, "2026-01-02")
    process = await place.start("--json")
    async with asyncio.timeout(60):
        await asked.wait()
    process.send_signal(signal.SIGTERM)
    ended = await finish(process)
    assert ended.exit_code == 143
    assert windows(ended) == [
        ("2026-01-01", "2026-01-02", "succeeded", 1), ("2026-01-02", "2026-01-03", "cancelled", 0),
    ]  # fmt: skip
    assert ended.document["state"] == "open"

    place.archive.before = lambda _request: None
    anew = await place.backfill("--json", "--new")
    assert anew.exit_code == 0, anew.stderr
    assert "backfill 1: given up, done until 2026-01-02T00:00:00Z" in anew.stderr
    assert len(windows(anew)) == 3
    rows = await connection.fetch("select state from backfills order by id")
    assert [row["state"] for row in rows] == ["given_up", "done"]
    assert await connection.fetchval("select count(*) from etl_checkpoints") == 0


async def test_who_waits_for_the_source_gets_it_between_two_chunks(place: Place, connection: Connection) -> None:
    first = asyncio.Event()
    place.archive.before = lambda _request: first.set()
    process = await place.start("--json", "--chunk", "1h")
    async with asyncio.timeout(60):
        await first.wait()
    source = await sources.get(connection, "items")
    await lock(connection, source)  # as an ordinary run takes it
    assert await connection.fetchval("select state from backfills") == "open"
    assert await connection.fetchval("select count(*) from etl_runs where state <> 'succeeded'") == 0
    process.send_signal(signal.SIGTERM)  # while the next chunk waits for us
    ended = await finish(process)
    assert ended.exit_code == 143, ended.stderr
    await locks.unlock(connection, source.id)
    assert [chunk["state"] for chunk in ended.document["chunks"]][-1] in {"succeeded", "cancelled"}


@pytest.mark.parametrize(
    ("since", "until", "chunk", "message"),
    [
        ("2026-02-01", "2026-01-01", None, "--to: 2026-01-01 is not after --from, 2026-02-01"),
        ("0001-01-01", "2026-01-01", None, "--from: 0001-01-01 is before the year 1000"),
        ("soon", "2026-01-01", None, '--from: "soon" is not an ISO 8601 time'),
        ("2026-01-01T00:00:00.5Z", "2026-02-01", None, "--from: 2026-01-01T00:00:00.5Z is not a whole second"),
        ("2026-01-01", "2026-02-01", "1x", '--chunk: "1x" is not a duration'),
        ("2026-01-01", "2026-02-01", "0.5s", "--chunk: 0.5s is not one or more whole seconds"),
    ],
)
def test_window_that_is_none_is_a_usage_error(since: str, until: str, chunk: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_window(since, until, chunk)
    assert caught.value.message.startswith(message)


async def test_feed_has_no_past(place: Place) -> None:
    feed = "{name: items, type: rss, url: 'https://example.org/feed'}"
    (place.folder / "kasparro.yaml").write_text(f"sources: [{feed}]\n", encoding="utf-8")
    ended = await place.backfill("--json")
    assert ended.exit_code == 2
    assert ended.document["error"]["message"] == (
        "source items: a feed shows its latest entries alone, there is no way to ask for older ones"
    )
