"""Backfills in a real database, from a server on loopback and from files: windows, what stays untouched, what loses."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import EXIT_CONFLICT, RunConflictError, UsageError
from kasparro.ingestion import locking
from kasparro.ingestion.coordinator import Request, locked_source
from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.moments import Window
from kasparro.ingestion.operations.backfill import chunk_job, chunk_of, next_chunk, open_backfill, require_past
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import AnySourceConfig, parse_configuration
from kasparro.services import backfills
from kasparro.services.backfills import Backfill
from tests.api_pages import client
from tests.archives import Archive, item
from tests.http_server import answer, gzipped, running

TWO = BatchLimits(records=2)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[HttpClient]:
    async with client() as opened:
        yield opened


@pytest.fixture
async def archive() -> AsyncIterator[Archive]:
    async with running() as upstream:
        yield Archive(upstream)


def january(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


class Place:
    """One source, the database it is loaded into, and what is done with both."""

    def __init__(self, options: ConnectionOptions, connection: Connection, http: HttpClient, folder: Path) -> None:
        self.options = options
        self.connection = connection
        self.http = http
        self.folder = folder
        self.lanes = 1

    def configured(self, yaml: str) -> tuple[AnySourceConfig, SourceJob]:
        (config,) = parse_configuration(yaml, {}).sources
        return config, build_job(config, self.folder, self.http.bound)

    async def run(self, yaml: str) -> RunOutcome:
        """An ordinary run."""
        _, job = self.configured(yaml)
        return await run_source(job, Request(lanes=self.lanes), Conditions(self.options, limits=TWO))

    async def open(self, yaml: str, window: Window, chunk: timedelta | None = None, *, anew: bool = False) -> Backfill:
        config, job = self.configured(yaml)
        length = chunk or chunk_of(config, window)
        found, _ = await open_backfill(self.connection, job, window, length, anew=anew)
        return found

    async def chunk(self, yaml: str, backfill: Backfill) -> RunOutcome:
        """Its next chunk."""
        config, job = self.configured(yaml)
        window = next_chunk(backfill)
        assert window is not None
        own, operation = chunk_job(job, config, backfill, window)
        request = Request(lanes=self.lanes, operation=operation)
        return await run_source(own, request, Conditions(self.options, limits=TWO))

    async def backfill(self, yaml: str, window: Window, chunk: timedelta | None = None) -> list[dict[str, Any]]:
        """All chunks; the counters of each."""
        backfill, rows = await self.open(yaml, window, chunk), list[dict[str, Any]]()
        while backfill.state == "open":
            outcome = await self.chunk(yaml, backfill)
            assert outcome.error is None
            assert outcome.row is not None
            rows.append(outcome.row)
            backfill = await backfills.find(self.connection, backfill.id)
        return rows

    async def titles(self) -> dict[str, str]:
        rows = await self.connection.fetch("select record_key, title from unified_data where deleted_at is null")
        return {row["record_key"]: row["title"] for row in rows}

    async def checkpoints(self) -> list[tuple[Any, ...]]:
        rows = await self.connection.fetch("select * from etl_checkpoints where scope = '' order by partition, lane")
        return [tuple(row.values()) for row in rows]


@pytest.fixture
def place(database: ConnectionOptions, connection: Connection, http: HttpClient, tmp_path: Path) -> Place:
    return Place(database, connection, http, tmp_path)


async def test_each_chunk_asks_for_its_window_and_keeps_what_lies_in_it(place: Place, archive: Archive) -> None:
    archive.items = [item(1, "01T00"), item(2, "01T12"), item(3, "01T23"), item(4, "02T00"), item(5, "03T00")]
    rows = await place.backfill(archive.yaml(), Window(january(1), january(3)))
    first, second = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), ("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z")
    assert archive.asked() == [(*first, "1"), (*first, "2"), (*first, "3"), (*second, "1"), (*second, "2")]
    counted = [(row["operation"], row["fetched"], row["inserted"], row["filtered"]) for row in rows]
    assert counted == [("backfill", 4, 3, 1), ("backfill", 2, 1, 1)]
    assert set(await place.titles()) == {"1", "2", "3", "4"}
    assert await place.checkpoints() == []
    assert await place.connection.fetchval("select count(*) from etl_checkpoints") == 0


async def test_live_checkpoint_stays_where_it_is(place: Place, archive: Archive) -> None:
    archive.items = [item(1, "20T00"), item(2, "21T00")]
    yaml = archive.yaml()
    assert (await place.run(yaml)).error is None
    before = await place.checkpoints()
    archive.items += [item(3, "05T00"), item(4, "25T00")]
    rows = await place.backfill(yaml, Window(january(5), january(6)))
    assert (rows[0]["inserted"], rows[0]["fetched"]) == (1, 1)
    assert await place.checkpoints() == before
    archive.asked()
    outcome = await place.run(yaml)
    assert outcome.row is not None
    assert [since for since, _, _ in archive.asked()] == ["2026-01-21T00:00:00Z"] * 2
    assert (outcome.row["fetched"], outcome.row["inserted"], outcome.row["unchanged"]) == (2, 1, 1)


async def test_open_ordinary_pass_goes_on_where_it_was_left(place: Place, archive: Archive) -> None:
    archive.items = [item(number, f"0{number}T00") for number in range(1, 8)]
    yaml = archive.yaml()
    archive.before = lambda request: answer(500) if request.query["page"] == "3" else None
    stopped = await place.run(yaml)
    assert stopped.state == "failed"
    before = await place.checkpoints()
    archive.before = lambda _request: None
    rows = await place.backfill(yaml, Window(january(3), january(7)))
    assert [(row["inserted"], row["unchanged"]) for row in rows] == [(0, 1), (0, 1), (1, 0), (1, 0)]
    assert await place.checkpoints() == before
    archive.asked()
    outcome = await place.run(yaml)
    assert outcome.row is not None
    assert outcome.row["resumes_run_id"] == (stopped.row or {})["id"]
    assert [page for _, _, page in archive.asked()] == ["3", "4", "5"]
    assert set(await place.titles()) == {str(number) for number in range(1, 8)}


async def test_chunk_that_failed_goes_on_behind_its_last_batch(place: Place, archive: Archive) -> None:
    archive.items = [item(number, "01T12") for number in range(1, 8)]
    yaml, window = archive.yaml(), Window(january(1), january(2))
    backfill = await place.open(yaml, window)
    archive.before = lambda request: answer(500) if request.query["page"] == "3" else None
    failed = await place.chunk(yaml, backfill)
    assert (failed.state, (failed.row or {})["inserted"]) == ("failed", 4)
    assert (await backfills.find(place.connection, backfill.id)).done_until == january(1)
    archive.before = lambda _request: None
    archive.asked()
    assert await place.open(yaml, window) == backfill
    again = await place.chunk(yaml, backfill)
    assert again.row is not None
    assert (again.row["inserted"], again.row["resumes_run_id"]) == (3, (failed.row or {})["id"])
    assert [page for _, _, page in archive.asked()] == ["3", "4", "5"]
    done = await backfills.find(place.connection, backfill.id)
    assert (done.state, done.done_until, next_chunk(done)) == ("done", january(2), None)


async def test_older_record_never_takes_the_place_of_a_newer_one(place: Place, archive: Archive) -> None:
    yaml = archive.yaml()
    archive.items = [item(1, "20T00", "new"), item(2, "05T00", "same"), item(3, None, "timeless")]
    assert (await place.run(yaml)).error is None
    archive.items = [
        item(1, "05T00", "old"), item(2, "05T00", "mended"), item(3, "05T00", "timed"), item(4, "05T00", "first"),
        item(4, "05T01", "later"), item(4, "05T00", "late"), item(5, None, "timeless"), item(5, None, "again"),
    ]  # fmt: skip
    (row,) = await place.backfill(yaml, Window(january(5), january(6)))
    assert await place.titles() == {"1": "new", "2": "mended", "3": "timeless", "4": "later", "5": "timeless"}
    counted = {name: row[name] for name in ("fetched", "inserted", "updated", "unchanged", "duplicate", "raw_written")}
    assert counted == {
        "fetched": 8, "inserted": 2, "updated": 1, "unchanged": 4, "duplicate": 1, "raw_written": 4,
    }  # fmt: skip
    assert await place.connection.fetchval("select count(version) from unified_data") == 0


@pytest.mark.parametrize("lanes", [1, 3])
async def test_older_records_count_the_same_for_any_batch(place: Place, archive: Archive, lanes: int) -> None:
    yaml, place.lanes = archive.yaml(), lanes
    archive.items = [item(1, "20T00", "new")]
    await place.run(yaml)
    archive.items = [item(1 + n % 3, f"05T{(n * 7) % 24:02}", f"t{n}") for n in range(24)]
    (row,) = await place.backfill(yaml, Window(january(5), january(6)))
    newest = {key: max(range(24), key=lambda n: ((n * 7) % 24) * (n % 3 == key - 1)) for key in (2, 3)}
    assert await place.titles() == {"1": "new", **{str(key): f"t{n}" for key, n in newest.items()}}
    assert row["unchanged"] + row["duplicate"] + row["inserted"] == row["fetched"] == 24
    assert (row["inserted"], row["updated"]) == (2, 0)


async def test_ordinary_run_takes_what_the_upstream_corrects(place: Place, archive: Archive) -> None:
    yaml = archive.yaml()
    archive.items = [item(1, "20T00", "wrong")]
    await place.run(yaml)
    archive.items = [item(1, "20T00", "right"), item(2, "21T00")]
    await place.run(yaml)
    archive.items = [item(1, "21T00", "back"), item(1, "21T00", "and forth")]
    await place.run(yaml)
    assert (await place.titles())["1"] == "and forth"


async def test_version_guards_where_there_is_one(place: Place, archive: Archive) -> None:
    yaml = archive.yaml("version: {field: rev, type: number}")
    archive.items = [item(1, "20T00", "new", rev=9), item(2, "20T00", "new", rev=1)]
    await place.run(yaml)
    archive.items = [item(1, "05T00", "old", rev=8), item(2, "05T00", "newer", rev=10)]
    await place.backfill(yaml, Window(january(5), january(6)))
    assert await place.titles() == {"1": "new", "2": "newer"}


async def test_older_tombstone_deletes_nothing(place: Place, archive: Archive) -> None:
    yaml = archive.yaml("deletes: {tombstone: gone}")
    archive.items = [item(1, "20T00"), item(2, "05T00"), item(3, "05T00")]
    await place.run(yaml)
    archive.items = [item(1, "05T00", gone=True), item(2, "05T01", gone=True), item(3, "07T00", gone=True)]
    archive.ends = False
    (row,) = await place.backfill(yaml, Window(january(5), january(6)))
    assert set(await place.titles()) == {"1", "3"}
    assert (row["deleted"], row["unchanged"], row["filtered"]) == (1, 1, 1)


@pytest.mark.parametrize("more", [(), ("version: updated",)])
async def test_reject_that_is_newer_than_what_a_backfill_brings_stays_open(
    place: Place, archive: Archive, more: tuple[str, ...]
) -> None:
    yaml = archive.yaml(*more).replace("map: {title: title}", "map: {title: title, value: price}")
    archive.items = [item(1, "20T00", price="dear"), item(2, "05T00", price="dear"), item(3, "20T00", price="1")]
    archive.items.append(item(3, "21T00", price="dear"))
    await place.run(yaml)
    archive.items = [item(1, "05T00", price="1"), item(2, "05T01", price="2"), item(3, "05T00", price="3")]
    (row,) = await place.backfill(yaml, Window(january(5), january(6)))
    assert (row["inserted"], row["unchanged"]) == (2, 1)
    rows = await place.connection.fetch("select record_key, state from rejected_records order by record_key")
    assert [tuple(each) for each in rows] == [("1", "open"), ("2", "resolved"), ("3", "open")]


async def test_server_that_ends_no_window_is_asked_once(place: Place, archive: Archive) -> None:
    archive.items, archive.ends = [item(1, "05T00"), item(2, "06T00"), item(3, "09T00")], False
    yaml = archive.yaml(incremental="incremental: {field: updated, param: since, initial: '2020-01-01', lookback: 1d}")
    (row,) = await place.backfill(yaml, Window(january(5), january(7)))
    assert archive.asked() == [("2026-01-05T00:00:00Z", None, page) for page in ("1", "2", "3")]
    assert (row["inserted"], row["filtered"]) == (2, 1)


async def test_file_is_read_for_the_rows_of_the_window(place: Place) -> None:
    settings = "type: csv, path: '*.csv', key: id, map: {title: t, occurred_at: at}"
    yaml = f"sources:\n  - {{name: rows, {settings}}}\n"
    (place.folder / "a.csv").write_text("id,t,at\n1,new,2026-01-20\n2,same,2026-01-05\n")
    await place.run(yaml)
    before = await place.checkpoints()
    (place.folder / "a.csv").write_text(
        "id,t,at\n1,old,2026-01-05\n2,mended,2026-01-05\n3,in,2026-01-05T23:59:59\n4,out,2026-01-06\n5,odd,soon\n6,none,\n"
    )
    (place.folder / "b.csv").write_text("id,t,at\n7,in,2026-01-05\n3,earlier,2026-01-05T10:00:00\n")
    rows = await place.backfill(yaml, Window(january(5), january(6)))
    assert await place.titles() == {"1": "new", "2": "mended", "3": "in", "7": "in"}
    counted = [
        {name: row[name] for name in ("inserted", "updated", "unchanged", "filtered", "rejected")} for row in rows
    ]
    assert counted == [{"inserted": 2, "updated": 1, "unchanged": 2, "filtered": 3, "rejected": 0}]
    assert await place.checkpoints() == before


async def test_file_that_keeps_failing_keeps_the_chunk_open(place: Place) -> None:
    yaml = "sources:\n  - {name: rows, type: csv, path: '*.csv*', key: id, map: {title: t, occurred_at: at}}\n"
    (place.folder / "a.csv").write_text("id,t,at\n1,a,2026-01-05\n")
    whole = gzipped(b"id,t,at\n2,b,2026-01-05\n")
    (place.folder / "b.csv.gz").write_bytes(whole[:20])
    backfill = await place.open(yaml, Window(january(5), january(6)))
    for _ in range(3):
        assert (await place.chunk(yaml, backfill)).state == "failed"
    assert (await backfills.find(place.connection, backfill.id)).state == "open"
    (place.folder / "b.csv.gz").write_bytes(whole)
    assert (await place.chunk(yaml, backfill)).state == "succeeded"
    assert set(await place.titles()) == {"1", "2"}


async def test_chunk_that_another_process_has_done_is_not_done_again(place: Place, archive: Archive) -> None:
    archive.items = [item(1, "01T12")]
    yaml, window = archive.yaml(), Window(january(1), january(3))
    backfill = await place.open(yaml, window)
    assert (await place.chunk(yaml, backfill)).error is None
    late = await place.chunk(yaml, backfill)
    assert isinstance(late.error, RunConflictError)
    assert "done until 2026-01-02" in late.error.message
    other = await place.open(yaml, window, anew=True)
    assert (other.id != backfill.id, other.done_until) == (True, january(1))
    given_up = await place.chunk(yaml, replace(backfill, done_until=january(2)))
    assert isinstance(given_up.error, RunConflictError)
    assert "given up" in given_up.error.message


async def test_chunk_of_a_held_source_waits_and_is_a_conflict(
    place: Place, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "LOCK_WAIT_SECONDS", 0.1)
    backfill = await place.open(archive.yaml(), Window(january(1), january(3)))
    async with locked_source(place.options, "items"):
        outcome = await place.chunk(archive.yaml(), backfill)
    assert (outcome.state, outcome.error and outcome.error.exit_code) == ("failed", EXIT_CONFLICT)
    assert await backfills.find(place.connection, backfill.id) == backfill


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("type: rss, url: 'https://example.org/feed'", "a feed shows its latest entries alone"),
        ("type: csv, path: a.csv, map: {title: t}", "nothing tells which of its rows lie in a window"),
        ("type: api, url: 'https://example.org', key: id, map: {title: t}", "cannot be asked for a window of time"),
    ],
)
def test_source_whose_past_cannot_be_asked_for_says_why(settings: str, message: str) -> None:
    (config,) = parse_configuration(f"sources:\n  - {{name: s, {settings}}}\n", {}).sources
    with pytest.raises(UsageError, match=message):
        require_past(config)
