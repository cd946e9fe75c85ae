"""A requeue ends where a clean load under the mended mapping does, however the records were cut into batches."""

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits, Payload
from kasparro.ingestion.transform import Transformer
from kasparro.services import digest
from kasparro.services.reject_lists import RejectFilter
from tests.replays import BEFORE, Items
from tests.scripted import ScriptedSource, job_of, key_of, row

Rows = list[dict[str, Any]]
GOOD, P, R = row("1", "G"), row("1", "P", bad=True), row("1", "R", bad=True)
TOMBSTONE = row("1", "T", deleted=True)
STREAMS = {
    "reject after a tombstone": ([GOOD, TOMBSTONE, P], "P"),
    "reject before a tombstone": ([GOOD, P, TOMBSTONE], None),
    "reject on either side of a tombstone": ([GOOD, P, TOMBSTONE, P], "P"),
    "another reject before a tombstone": ([GOOD, R, TOMBSTONE, P], "P"),
    "reject between tombstones": ([GOOD, TOMBSTONE, P, TOMBSTONE], None),
    "reject between a tombstone and a record": ([GOOD, TOMBSTONE, P, row("1", "H")], "H"),
    "reject after a tombstone of nothing": ([TOMBSTONE, P], "P"),
    "one payload around another": ([P, R, P], "P"),
    "one payload around a record and another": ([P, GOOD, R, P], "P"),
    "one payload around another and a record": ([P, R, GOOD, P], "P"),
    "two payloads by turns": ([R, P, R, P, R], "R"),
}


def mended(source: ScriptedSource) -> SourceJob:
    """The same source under a mapping that takes what was bad."""

    def normalize(payload: Payload) -> dict[str, object]:
        return {"record_key": key_of(payload), "title": payload.get("title"), "value": payload.get("value")}

    return job_of(
        source,
        mapping="2",
        transformer=Transformer(normalize, key_of, is_tombstone=lambda payload: bool(payload.get("deleted"))),
    )


async def load(options: ConnectionOptions, passes: list[Rows], size: int, lanes: int = 1) -> None:
    for rows in passes:
        job = job_of(ScriptedSource({"p": rows}, batch_size=size))
        outcome = await run_source(job, Request(lanes=lanes, full_refresh=True), Conditions(options))
        assert outcome.error is None


async def requeue(options: ConnectionOptions, size: int, *, job: SourceJob | None = None) -> RunOutcome:
    again = requeue_job(job or mended(ScriptedSource({"p": []})), RejectFilter(), options)
    limits = Conditions(options, limits=BatchLimits(records=size))
    outcome = await run_source(again, requeue_request(RejectFilter(), Request()), limits)
    assert outcome.error is None
    return outcome


async def require_clean_load(options: ConnectionOptions, connection: Connection, passes: list[Rows]) -> None:
    """That the first source holds what a load of another one under the mended mapping makes of the same records."""
    for rows in passes:
        await run_source(
            mended(ScriptedSource({"p": rows}, name="clean")), Request(full_refresh=True), Conditions(options)
        )
    found = await connection.fetch(
        "select s.digest, (select array_agg((u.record_key, u.title)::text order by u.record_key) from unified_data u "
        "where u.source_id = s.id and u.deleted_at is null) as live from sources s order by s.id"
    )
    assert found[0]["live"] == found[1]["live"]
    assert found[0]["digest"] == found[1]["digest"]
    async with connection.transaction():
        assert await digest.recompute(connection, 1) == found[0]["digest"]
    assert await connection.fetchval("select count(*) from rejected_records where state = 'open'") == 0


@pytest.mark.parametrize("pages", [1, 1000])
@pytest.mark.parametrize("size", [1, 2, 20_000])
@pytest.mark.parametrize("name", STREAMS)
async def test_what_came_last_stands(
    database: ConnectionOptions, connection: Connection, name: str, size: int, pages: int
) -> None:
    rows, title = STREAMS[name]
    await load(database, [rows], size)
    await requeue(database, pages)
    live = await connection.fetchval("select title from unified_data where deleted_at is null")
    assert live == title
    await require_clean_load(database, connection, [rows])


@pytest.mark.parametrize("pages", [2, 1000])
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("seed", range(5))
async def test_streams_end_as_a_clean_load(
    database: ConnectionOptions, connection: Connection, seed: int, size: int, pages: int
) -> None:
    random_ = random.Random(seed)
    passes = [[_record(random_) for _ in range(40)] for _ in range(2)]
    await load(database, passes, size, lanes=1 + seed % 3)
    await requeue(database, pages)
    await require_clean_load(database, connection, passes)


def _record(random_: random.Random) -> dict[str, Any]:
    kind = random_.choice([{}, {"bad": True}, {"bad": True}, {"deleted": True}])
    return row(random_.choice(["a", "b", "c", "d"]), random_.choice("xyz"), **kind)


async def test_requeue_in_vain_keeps_the_order(database: ConnectionOptions, connection: Connection) -> None:
    """It is no sight, for whatever reason it rejects: one seen then for the first time, or long ago and settled."""
    await load(database, [[P, R, P]], 1000)
    before = await _order(connection)
    assert [ordinal for _, ordinal in before] == [2, 3]

    def other(_: Payload) -> dict[str, object]:
        return {"record_key": "1", "value": "x"}

    source = ScriptedSource({"p": []})
    for job in (job_of(source, mapping="3", transformer=Transformer(other, key_of)), job_of(source)):
        assert (outcome := await requeue(database, 1, job=job)).row
        assert outcome.row["rejected"] == 2
        assert await _order(connection) == before
    await requeue(database, 1)
    await require_clean_load(database, connection, [[P, R, P]])


async def test_payload_that_came_again_under_another_reason_stands_where_it_was_last(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Each reason tells its own sight; the payload's is the latest of them, not the largest of either number."""
    await load(database, [[row("2"), row("3"), P]], 1000)

    def other(payload: Payload) -> dict[str, object]:
        return {"record_key": key_of(payload), "value": "x"}

    job = job_of(ScriptedSource({"p": [P, R]}), mapping="3", transformer=Transformer(other, key_of))
    await run_source(job, Request(full_refresh=True), Conditions(database))
    await requeue(database, 1)
    assert await connection.fetchval("select title from unified_data where record_key = '1'") == "R"


async def test_record_that_a_replay_rejects_is_older_than_what_is_open_under_its_key(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    items = Items(tmp_path, database, connection)
    items.write(["i3,old,3.50,x,none", "i3,new,broken,x,none", "i4,four,4,x,none"])
    await items.load()
    items.settings = BEFORE.replace("value: price", "value: stock")
    await items.apply(await items.plan())
    assert len(await _order(connection)) == 3
    items.settings = "map: {title: name, category: kind}"
    await requeue(database, 1, job=items.job())
    assert {key: found["title"] for key, found in (await items.records()).items()} == {"i3": "new", "i4": "four"}
    assert await items.digest() == await items.clean_digest()


async def _order(connection: Connection) -> list[tuple[datetime, int]]:
    rows = await connection.fetch(
        "select last_seen_at, last_ordinal from rejected_records where state = 'open' order by last_ordinal"
    )
    return [(item["last_seen_at"], item["last_ordinal"]) for item in rows]
