"""One lane batch: one transaction, behind the fence, with everything in it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import ConservationError, ContentionError, FencedError
from kasparro.ingestion.columns.json_text import stored_order
from kasparro.ingestion.coordinator import Request, RunPlan, hold
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.source import SourceRecord
from kasparro.ingestion.store import PostgresLaneStore, write
from kasparro.schemas.batches import LaneBatch
from tests.fix_database import LOCK_WAITERS
from tests.scripted import ScriptedSource, job_of, row

PARTITION = "p"


def batch_of(payloads: Sequence[dict[str, Any]], *, before: int = 0, lane: int = 0, lanes: int = 1) -> LaneBatch:
    """The lane's share of a reader batch with these payloads."""
    job = job_of(ScriptedSource({PARTITION: payloads}))
    records = [SourceRecord(payload, f"{PARTITION}:{before + n + 1}") for n, payload in enumerate(payloads)]
    transformed = job.transformer.transform(records, before + 1)
    reader_batch = ReaderBatch(before, len(records), {"position": before + len(records)}, 100)
    shares = split(reader_batch, transformed, [before] * lanes)
    return encode_share(shares[lane], PARTITION, datetime.now(UTC))


async def claim(options: ConnectionOptions, payloads: Sequence[dict[str, Any]] = (), **request: Any) -> RunPlan:
    """Claim the scripted source and let its lock go, as a process does that dies right after."""
    job = job_of(ScriptedSource({PARTITION: payloads}))
    async with hold(options, job) as coordinator:
        return await coordinator.claim(job, Request(**request))


async def store_of(options: ConnectionOptions, plan: RunPlan, lane: int = 0) -> tuple[Connection, PostgresLaneStore]:
    connection = await connect(options, application_name="kasparro:test")
    store = PostgresLaneStore(connection, plan.stamp, first=plan.first_load)
    store.begin(PARTITION, plan.partitions[0].lanes[lane])
    return connection, store


async def test_old_run_cannot_write_after_a_claim(database: ConnectionOptions, connection: Connection) -> None:
    old = await claim(database)
    old_connection, old_store = await store_of(database, old)
    await write(old_store, batch_of([row("a")]))

    new = await claim(database)
    new_connection, new_store = await store_of(database, new)

    with pytest.raises(FencedError, match="lost its claim"):
        await write(old_store, batch_of([row("b")], before=1))
    await write(new_store, batch_of([row("c")], before=1))
    assert await keys(connection) == ["a", "c"]
    assert (new.resumes_run_id, new.stamp.pass_id) == (old.stamp.run_id, old.stamp.pass_id)
    await old_connection.close()
    await new_connection.close()


async def test_claim_waits_for_a_batch_in_hand_and_counts_it(
    database: ConnectionOptions, connection: Connection
) -> None:
    import asyncio

    old = await claim(database)
    old_connection, old_store = await store_of(database, old)
    batch = batch_of([row("a")])
    written = await old_store.write_data(batch)
    await old_store.write_checkpoint(batch, written)

    claiming = asyncio.create_task(claim(database))
    await until_a_lock_is_awaited(connection)
    await old_store.commit()
    new = await claiming

    assert await keys(connection) == ["a"]
    folded = await connection.fetchrow("select state, inserted from etl_runs where id = $1", old.stamp.run_id)
    assert folded is not None
    assert dict(folded) == {"state": "interrupted", "inserted": 1}
    assert new.partitions[0].ordinal == 1
    await old_connection.close()


async def test_nothing_is_written_when_the_transaction_is_given_up(
    database: ConnectionOptions, connection: Connection
) -> None:
    plan = await claim(database)
    lane_connection, store = await store_of(database, plan)
    batch = batch_of([row("a"), row("b", bad=True)])
    await store.write_checkpoint(batch, await store.write_data(batch))
    await store.rollback()

    assert await keys(connection) == []
    for table in ("raw_csv_data", "rejected_records", "etl_run_batches"):
        assert await connection.fetchval(f"select count(*) from {table}") == 0
    position = await connection.fetchrow("select seq, ordinal, cursor from etl_checkpoints where lane = 0")
    assert position is not None
    assert dict(position) == {"seq": 0, "ordinal": 0, "cursor": None}
    await lane_connection.close()


async def test_contention_repeats_the_batch(database: ConnectionOptions, connection: Connection) -> None:
    class Contended(PostgresLaneStore):
        left = 2

        async def commit(self) -> None:
            if self.left:
                self.left -= 1
                raise ContentionError("as a deadlock would")
            await super().commit()

    plan = await claim(database)
    lane_connection = await connect(database, application_name="kasparro:test")
    store = Contended(lane_connection, plan.stamp, first=plan.first_load)
    store.begin(PARTITION, plan.partitions[0].lanes[0])
    written = await write(store, batch_of([row("a"), row("b")]))

    assert (written.counters.inserted, await keys(connection)) == (2, ["a", "b"])
    assert await connection.fetchval("select count(*) from raw_csv_data") == 2
    store.left = 3
    with pytest.raises(ContentionError):
        await write(store, batch_of([row("c")], before=2))
    await lane_connection.close()


async def test_record_that_transform_lost_stops_the_batch(database: ConnectionOptions, connection: Connection) -> None:
    plan = await claim(database)
    lane_connection, store = await store_of(database, plan)
    job = job_of(ScriptedSource({}))
    transformed = job.transformer.transform([SourceRecord(row("a"), "p:1")], 1)
    shares = split(ReaderBatch(0, 2, {"position": 2}, 10), transformed, [0])

    with pytest.raises(ConservationError, match=r"2 records fetched, 1 accounted for \(off by -1\)"):
        await write(store, encode_share(shares[0], PARTITION, datetime.now(UTC)))
    assert await keys(connection) == []
    await lane_connection.close()


@pytest.mark.parametrize("way", ["first load", "join"])
async def test_raw_row_that_is_not_written_stops_the_batch(
    database: ConnectionOptions, connection: Connection, way: str
) -> None:
    """The second equation, with a trigger in the place of whatever might swallow a row."""
    rejects = [row("b", bad=True)] if way == "join" else []
    await connection.execute(
        "create function swallow() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger swallow before insert on raw_csv_data for each row execute function swallow()"
    )
    plan = await claim(database)
    lane_connection, store = await store_of(database, plan)

    with pytest.raises(ConservationError, match=r"0 raw rows written, [12] expected \(off by -[12]\)"):
        await write(store, batch_of([row("a"), *rejects]))
    await lane_connection.close()


async def test_first_load_reduces_a_key_that_comes_twice_in_a_batch(
    database: ConnectionOptions, connection: Connection
) -> None:
    plan = await claim(database)
    assert plan.first_load
    lane_connection, store = await store_of(database, plan)
    written = await write(store, batch_of([row("a", "1"), row("b", "1"), row("a", "2"), row("a", "2")]))

    assert (written.counters.inserted, written.counters.duplicate, written.counters.raw_written) == (2, 2, 3)
    assert await connection.fetchval("select title from unified_data where record_key = 'a'") == "2"
    assert await chain(connection, "a") == [("1", None), ("2", "1")]
    await lane_connection.close()


async def test_members_come_in_the_order_in_which_the_server_keeps_them(connection: Connection) -> None:
    names = ["b", "aa", "é", "a", "", "Z", "aaa", "é2"]
    kept = json.loads(await connection.fetchval("select $1::jsonb::text", json.dumps(dict.fromkeys(names, 1))))
    assert stored_order(names) == list(kept)


@pytest.mark.parametrize("lanes", [1, 3])
async def test_first_load_falls_back_when_a_key_comes_in_two_batches(
    database: ConnectionOptions, connection: Connection, lanes: int
) -> None:
    plan = await claim(database, lanes=lanes)
    total = 0
    for lane in range(lanes):
        lane_connection, store = await store_of(database, plan, lane)
        payloads = [row(key, "1") for key in "abcdef"]
        again = [row("b", "2"), row("e", "1"), row("g", "1")]
        for before, records in ((0, payloads), (6, again), (9, [row("h", "1")])):
            written = await write(store, batch_of(records, before=before, lane=lane, lanes=lanes))
            total += written.counters.raw_written
        await lane_connection.close()

    assert await keys(connection) == list("abcdefgh")
    assert total == 9
    assert await chain(connection, "b") == [("1", None), ("2", "1")]
    assert await connection.fetchval("select sum(duplicate)::int from etl_run_batches") == 2


async def test_values_keep_every_digit_on_both_ways_in(database: ConnectionOptions, connection: Connection) -> None:
    exact = {"a": "0.1", "b": "-12345678901234567890.123456789", "c": "100", "d": "1E+3", "e": "0.00"}
    beyond = {"f": "1" * 60 + ".5", "g": "1E-50"}
    plan = await claim(database)
    lane_connection, store = await store_of(database, plan)
    await write(store, batch_of([row(key, value=value) for key, value in exact.items()]))
    await write(store, batch_of([row(key, value=value) for key, value in beyond.items()], before=5))

    rows = await connection.fetch("select record_key, trim_scale(value)::text as value from unified_data order by 1")
    assert [item["value"] for item in rows] == [
        "0.1", "-12345678901234567890.123456789", "100", "1000", "0", "1" * 60 + ".5", "0." + "0" * 49 + "1",
    ]  # fmt: skip
    await lane_connection.close()


async def until_a_lock_is_awaited(connection: Connection) -> None:
    """Return as soon as some session of the database waits for a lock; pg_sleep lets the server do the waiting."""
    while not await connection.fetchval(LOCK_WAITERS):
        await connection.fetchval("select pg_sleep(0.01)")


async def keys(connection: Connection) -> list[str]:
    return [item["record_key"] for item in await connection.fetch("select record_key from unified_data order by 1")]


async def chain(connection: Connection, key: str) -> list[tuple[str, str | None]]:
    """Titles of a key's raw rows in order, each with the title of the row that `prev_raw_id` names."""
    rows = await connection.fetch(
        "select r.payload->>'title' as title, p.payload->>'title' as previous "
        "from raw_csv_data r left join raw_csv_data p on p.id = r.prev_raw_id where r.record_key = $1 order by r.id",
        key,
    )
    return [(item["title"], item["previous"]) for item in rows]
