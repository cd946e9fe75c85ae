"""Deletes by a real API with tombstones and a since-filter, and by real files that hold all there is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import TooManyGoneError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.job import build_job
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import parse_configuration
from kasparro.services import digest
from tests.api_pages import client
from tests.http_server import Reply, Upstream, answer, json_answer
from tests.http_server import Request as Asked

FOUR = BatchLimits(records=4)
WATCHED = (
    "key: id, map: {title: name, value: price, occurred_at: updated_at}, allow_private: true, "
    "rate_limit: {requests: 1000}, records: items, pagination: {type: cursor, next: next}, "
    "incremental: {field: updated_at, param: since}, deletes: {tombstone: deleted}"
)
WHOLE = (
    "key: id, map: {title: name}, allow_private: true, rate_limit: {requests: 1000}, records: items, "
    "pagination: {type: cursor, next: next}, deletes: {snapshot: true, max_share: 0.5}"
)
FILES = "path: 'rows*.csv', key: id, map: {title: name, value: price}"


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[HttpClient]:
    async with client() as opened:
        yield opened


class Shop:
    """Answers with the items that were changed since `since`, three a page; what is deleted stays as a tombstone."""

    def __init__(self, upstream: Upstream) -> None:
        self.items: dict[int, dict[str, Any]] = {}
        self.minute = 0
        self.asked: list[str | None] = []
        upstream.on("/items", self._page)

    def put(self, number: int, name: str, **more: Any) -> None:
        self.minute += 1
        at = f"2026-11-20T10:{self.minute:02}:00Z"
        self.items[number] = {"id": number, "name": name, "price": f"{number}.50", "updated_at": at, **more}

    def delete(self, *numbers: int) -> None:
        for number in numbers:
            self.minute += 1
            at = f"2026-11-20T10:{self.minute:02}:00Z"
            self.items[number] = {"id": number, "deleted": True, "updated_at": at}

    def _page(self, request: Asked) -> Reply:
        since, begin = request.query.get("since", ""), int(request.query.get("cursor", "t0")[1:])
        if not begin:
            self.asked.append(since or None)
        found = sorted(
            (item for item in self.items.values() if item["updated_at"] > since), key=lambda item: item["updated_at"]
        )
        following = f"t{begin + 3}" if begin + 3 < len(found) else None
        return json_answer({"items": found[begin : begin + 3], "next": following})


class Place:
    def __init__(self, options: ConnectionOptions, connection: Connection, folder: Path, http: HttpClient) -> None:
        self.options = options
        self.connection = connection
        self.folder = folder
        self.http = http

    def write(self, name: str, *rows: str) -> None:
        (self.folder / name).write_text("\n".join(["id,name,price", *rows, ""]), encoding="utf-8")

    async def run(self, settings: str, *, inject: str = "", name: str = "items", **request: Any) -> RunOutcome:
        kind = "api" if "allow_private" in settings else "csv"
        (config,) = parse_configuration(f"sources:\n  - {{name: {name}, type: {kind}, {settings}}}\n", {}).sources
        faults = Faults(parse_plans(inject, environment="test")) if inject else Faults()
        conditions = Conditions(self.options, limits=FOUR, faults=faults)
        return await run_source(build_job(config, self.folder, self.http.bound), Request(**request), conditions)

    async def good(self, settings: str, **more: Any) -> dict[str, Any]:
        outcome = await self.run(settings, **more)
        assert outcome.error is None, outcome.error
        assert outcome.row is not None
        return outcome.row

    async def live(self, name: str = "items") -> dict[str, str]:
        """Key and title of each live record; the source's digest must be theirs."""
        row = await self.connection.fetchrow("select id from sources where name = $1", name)
        assert row is not None
        async with self.connection.transaction():
            now = await digest.now(self.connection, row["id"])
            assert now == await digest.recompute(self.connection, row["id"])
        rows = await self.connection.fetch(
            "select record_key, title from unified_data where source_id = $1 and deleted_at is null", row["id"]
        )
        return {item["record_key"]: item["title"] for item in rows}


@pytest.fixture
def place(database: ConnectionOptions, connection: Connection, tmp_path: Path, http: HttpClient) -> Place:
    return Place(database, connection, tmp_path, http)


def counted(row: dict[str, Any]) -> dict[str, int]:
    """The counters that are not 0."""
    names = ("fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted", "gone")
    return {name: row[name] for name in names if row[name]}


@pytest.mark.parametrize("lanes", [1, 2])
async def test_deletes_and_revivals_of_an_api_arrive(place: Place, upstream: Upstream, lanes: int) -> None:
    shop, settings = Shop(upstream), f"url: '{upstream.url}/items', {WATCHED}"
    for number in range(1, 8):
        shop.put(number, f"item {number}")
    assert counted(await place.good(settings, lanes=lanes)) == {"fetched": 7, "inserted": 7}

    shop.delete(2, 5)
    shop.put(8, "item 8")
    arrived = await place.good(settings, lanes=lanes)
    shop.put(2, "item 2 again")
    shop.delete(99)
    revived = await place.good(settings, lanes=lanes)

    assert counted(arrived) == {"fetched": 3, "inserted": 1, "deleted": 2}
    assert counted(revived) == {"fetched": 2, "updated": 1, "unchanged": 1}
    assert shop.asked == [None, "2026-11-20T10:07:00Z", "2026-11-20T10:10:00Z"]
    assert await place.live() == {
        "1": "item 1", "2": "item 2 again", "3": "item 3", "4": "item 4", "6": "item 6", "7": "item 7", "8": "item 8",
    }  # fmt: skip
    clean = await place.good(settings, name="clean")
    assert clean["digest"] == revived["digest"]


@pytest.mark.parametrize("body", [{"items": [], "next": None}, {"items": []}])
async def test_empty_answer_of_an_api_deletes_nothing(place: Place, upstream: Upstream, body: dict[str, Any]) -> None:
    shop, settings = Shop(upstream), f"url: '{upstream.url}/items', {WHOLE}"
    for number in range(1, 6):
        shop.put(number, f"item {number}")
    await place.good(settings)
    upstream.on("/items", json_answer(body))

    done = await place.good(settings, confirm=True)

    assert (counted(done), done["snapshot"] is not None) == ({}, True)
    assert len(await place.live()) == 5


async def test_api_that_fails_half_way_deletes_nothing(place: Place, upstream: Upstream) -> None:
    shop, settings = Shop(upstream), f"url: '{upstream.url}/items', retry: {{attempts: 1}}, {WHOLE}"
    for number in range(1, 9):
        shop.put(number, f"item {number}")
    await place.good(settings)
    page = json.dumps({"items": [{"id": 1, "name": "item 1"}], "next": "t3"})
    upstream.on("/items", answer(body=page, headers={"Content-Type": "application/json"}), answer(500))

    outcome = await place.run(settings)

    assert outcome.state == "failed"
    assert len(await place.live()) == 8


async def test_api_whose_pages_are_places_deletes_nothing(place: Place, upstream: Upstream) -> None:
    settings = f"url: '{upstream.url}/items', {WHOLE}"
    upstream.on("/items", json_answer({"items": [{"id": 1, "name": "a"}], "next": 2}), json_answer({"items": []}))

    done = await place.good(settings)

    assert done["snapshot"].endswith("was not read completely (records may have slipped past its pages)")


async def test_records_that_an_api_has_no_more_are_gone_and_come_back(place: Place, upstream: Upstream) -> None:
    shop, settings = Shop(upstream), f"url: '{upstream.url}/items', {WHOLE}"
    for number in range(1, 8):
        shop.put(number, f"item {number}")
    await place.good(settings)
    kept = shop.items.pop(3)

    done = await place.good(settings)
    shop.items[3] = kept
    back = await place.good(settings)

    assert counted(done) == {"fetched": 6, "unchanged": 6, "gone": 1}
    assert counted(back) == {"fetched": 7, "unchanged": 6, "updated": 1}
    assert len(await place.live()) == 7


SNAPSHOT = f"{FILES}, deletes: {{snapshot: true, max_share: 0.5}}"


@pytest.mark.parametrize("lanes", [1, 3])
async def test_rows_that_a_file_lacks_are_gone_and_come_back(place: Place, lanes: int) -> None:
    rows = [f"i{n},item {n},{n}.5" for n in range(10)]
    place.write("rows.csv", *rows)
    await place.good(SNAPSHOT, lanes=lanes)
    place.write("rows.csv", *rows[:7])

    done = await place.good(SNAPSHOT, lanes=lanes)
    again = await place.good(SNAPSHOT, lanes=lanes)
    left = await place.live()
    place.write("rows.csv", *rows[:8], "i9,new name,9.5")
    back = await place.good(SNAPSHOT, lanes=lanes)

    assert counted(done) == {"fetched": 7, "unchanged": 7, "gone": 3}
    assert (counted(again), len(left)) == ({}, 7)
    assert counted(back) == {"fetched": 2, "updated": 2}
    assert (await place.live())["i9"] == "new name"
    clean = await place.good(SNAPSHOT, name="clean")
    assert clean["digest"] == back["digest"]


@pytest.mark.parametrize(
    ("fault", "lanes"),
    [("fetch:error:2", 1), ("fetch:error:3", 2), ("committed:disconnect:2", 1), ("commit:disconnect:2", 2)],
)
async def test_gone_is_right_however_the_pass_was_broken(place: Place, fault: str, lanes: int) -> None:
    rows = [f"i{n},item {n},{n}.5" for n in range(24)]
    place.write("rows.csv", *rows)
    await place.good(SNAPSHOT, lanes=lanes)
    place.write("rows.csv", *rows[1:20])

    await place.run(SNAPSHOT, lanes=lanes, inject=fault)
    await place.good(SNAPSHOT, lanes=lanes)

    assert set(await place.live()) == {f"i{n}" for n in range(1, 20)}
    assert await place.connection.fetchval("select sum(gone)::int from etl_runs") == 5


async def test_refused_deletes_of_a_file_wait_for_a_confirmation(place: Place) -> None:
    place.write("rows.csv", *[f"i{n},item {n},{n}.5" for n in range(10)])
    await place.good(SNAPSHOT)
    place.write("rows.csv", "i1,item 1,1.5")

    refused = await place.run(SNAPSHOT)
    confirmed = await place.good(SNAPSHOT, confirm=True)

    assert isinstance(refused.error, TooManyGoneError)
    assert counted(confirmed) == {"gone": 9}
    assert await place.live() == {"i1": "item 1"}


async def test_files_are_compared_all_together(place: Place) -> None:
    place.write("rows-a.csv", "a1,one,1", "a2,two,2")
    place.write("rows-b.csv", "b1,one,1", "b2,two,2")
    await place.good(SNAPSHOT)
    place.write("rows-a.csv", "a1,one,1", "a3,three,3")

    first = await place.good(SNAPSHOT)
    second = await place.good(SNAPSHOT)
    third = await place.good(SNAPSHOT)
    (place.folder / "rows-b.csv").unlink()
    without = await place.good(SNAPSHOT)

    assert (counted(first), first["snapshot"]) == (
        {"fetched": 2, "inserted": 1, "unchanged": 1}, "rows-b.csv was not read completely (it is as it was)",
    )  # fmt: skip
    assert (counted(second), second["snapshot"]) == ({"fetched": 4, "unchanged": 4, "gone": 1}, "compared")
    assert counted(third) == {}
    assert (counted(without), set(await place.live())) == ({"fetched": 2, "unchanged": 2, "gone": 2}, {"a1", "a3"})


async def test_tombstones_of_a_file(place: Place) -> None:
    settings = f"{FILES}, deletes: {{tombstone: \"price == 'gone'\"}}"
    place.write("rows.csv", "i1,one,1.5", "i2,two,2.5")
    await place.good(settings)
    place.write("rows.csv", "i1,one,1.5", "i2,two,2.5", "i2,,gone", "i3,three,3.5", ",,gone")

    done = await place.good(settings)

    assert counted(done) == {"fetched": 3, "inserted": 1, "deleted": 1, "rejected": 1}
    assert set(await place.live()) == {"i1", "i3"}
    row = await place.connection.fetchrow("select code, field from rejected_records")
    assert row is not None
    assert tuple(row) == ("key_missing", "id")
