"""Deletes that come from the source: tombstones, and records that a complete reading lacks."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError, TooManyGoneError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.schemas.configuration import Deletes
from kasparro.services import digest
from tests.scripted import Records, ScriptedSource, job_of, row

SNAPSHOT = Deletes(snapshot=True, max_share=0.5)
TOMBSTONES = Deletes(tombstone="deleted")


def keys(*names: str) -> list[dict[str, Any]]:
    return [row(name, name.upper()) for name in names]


async def run(
    options: ConnectionOptions,
    partitions: "Records | Mapping[str, Records]",
    *,
    lanes: int = 1,
    confirm: bool = False,
    full_refresh: bool = False,
    deletes: Deletes = SNAPSHOT,
    before: Callable[[str, int], None] = lambda _partition, _position: None,
    source: ScriptedSource | None = None,
) -> RunOutcome:
    parts = partitions if isinstance(partitions, Mapping) else {"p": partitions}
    source = source or ScriptedSource(parts, batch_size=3, before=before)
    request = Request(lanes=lanes, confirm=confirm, full_refresh=full_refresh)
    return await run_source(job_of(source, deletes=deletes), request, Conditions(options))


async def good(
    options: ConnectionOptions, partitions: "Records | Mapping[str, Records]", **more: Any
) -> dict[str, Any]:
    outcome = await run(options, partitions, **more)
    assert outcome.error is None
    assert outcome.row is not None
    return outcome.row


async def told(options: ConnectionOptions, records: Records, **more: Any) -> dict[str, Any]:
    """A good run of a source that tells of deletes by tombstones."""
    return await good(options, records, deletes=TOMBSTONES, **more)


async def live(connection: Connection) -> str:
    rows = await connection.fetch("select record_key from unified_data where deleted_at is null order by record_key")
    return " ".join(item["record_key"] for item in rows)


async def deletions(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch("select record_key, deletion from unified_data where deleted_at is not null")
    return {item["record_key"]: item["deletion"] for item in rows}


async def digest_now(connection: Connection) -> int:
    """Of the only source; it must be that of its live records."""
    source_id = await connection.fetchval("select id from sources")
    async with connection.transaction():
        found = await digest.now(connection, source_id)
        assert found == await digest.recompute(connection, source_id)
    return found


def failing_at(position: int) -> Callable[[str, int], None]:
    def before(_partition: str, at: int) -> None:
        if at >= position:
            raise SourceError("the source went away")

    return before


# -- tombstones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 3])
async def test_tombstone_deletes_its_record_and_keeps_the_chain(
    database: ConnectionOptions, connection: Connection, lanes: int
) -> None:
    await told(database, keys("a", "b", "c"), lanes=lanes)
    before = await digest_now(connection)

    done = await told(database, [row("b", deleted=True), row("unknown", deleted=True)], lanes=lanes)

    counted = {name: done[name] for name in ("fetched", "deleted", "unchanged", "raw_written", "updated", "inserted")}
    assert counted == {"fetched": 2, "deleted": 1, "unchanged": 1, "raw_written": 1, "updated": 0, "inserted": 0}
    assert await deletions(connection) == {"b": "tombstone"}
    found = await connection.fetchrow(
        "select u.title, r.payload ->> 'deleted' as marker, p.payload ->> 'title' as earlier, u.run_id "
        "from unified_data u join raw_csv_data r on r.id = u.raw_id join raw_csv_data p on p.id = r.prev_raw_id "
        "where u.record_key = 'b'"
    )
    assert found is not None
    assert dict(found) == {"title": "B", "marker": "true", "earlier": "B", "run_id": done["id"]}
    assert await digest_now(connection) != before


async def test_tombstone_again_changes_nothing(database: ConnectionOptions, connection: Connection) -> None:
    await told(database, keys("a", "b"))
    await told(database, [row("b", deleted=True)])

    done = await told(database, [row("b", deleted=True)])

    assert (done["unchanged"], done["deleted"], done["raw_written"]) == (1, 0, 0)
    assert await connection.fetchval("select count(*) from raw_csv_data") == 3


async def test_record_that_comes_back_is_revived_with_its_own_payload(
    database: ConnectionOptions, connection: Connection
) -> None:
    await told(database, keys("a", "b"))
    before = await digest_now(connection)
    await told(database, [row("b", deleted=True)])

    done = await told(database, keys("a", "b"))

    assert (done["updated"], done["unchanged"], done["raw_written"]) == (1, 1, 1)
    assert await live(connection) == "a b"
    assert await digest_now(connection) == before
    assert await connection.fetchval(
        "select r.payload ->> 'title' from unified_data u join raw_csv_data r on r.id = u.raw_id "
        "where u.record_key = 'b' and u.deletion is null"
    ) == "B"  # fmt: skip


async def test_tombstone_whose_key_cannot_be_told_is_rejected(
    database: ConnectionOptions, connection: Connection
) -> None:
    done = await told(database, [row(None, deleted=True), row("", deleted=True)])

    assert (done["rejected"], done["state"]) == (2, "partial")
    rows = await connection.fetch("select code, field, record_key from rejected_records order by id")
    assert [tuple(item) for item in rows] == [("key_missing", "key", None), ("invalid_text", "record_key", None)]


async def test_tombstone_resolves_open_rejects_of_its_key(database: ConnectionOptions, connection: Connection) -> None:
    await told(database, [row("a", bad=True)])

    await told(database, [row("a", deleted=True)])

    states = await connection.fetch("select state, resolution from rejected_records")
    assert [tuple(item) for item in states] == [("resolved", "tombstone")]


async def test_reject_behind_a_tombstone_of_its_batch_stays_open(
    database: ConnectionOptions, connection: Connection
) -> None:
    await told(database, [row("a"), row("a", bad=True), row("a", deleted=True), row("a", "new"), row("a", bad=True)])

    assert await connection.fetchval("select state from rejected_records") == "open"
    assert await live(connection) == "a"


@pytest.mark.parametrize("position", [3, 6, 9])
async def test_resumed_pass_with_tombstones_counts_like_an_undisturbed_one(
    database: ConnectionOptions, connection: Connection, position: int
) -> None:
    records = [
        *keys("a", "b"), row("a", deleted=True), row("a", "back"), row("c"), row("a", deleted=True),
        row("a", deleted=True), row("b", deleted=True), row("b", "B"), row("a", "again"), row("a", "again"),
    ]  # fmt: skip
    broken = await run(database, records, deletes=TOMBSTONES, before=failing_at(position))
    assert broken.row is not None

    ended = await told(database, records)

    names = ("fetched", "inserted", "updated", "unchanged", "duplicate", "deleted", "raw_written")
    assert {name: broken.row[name] + ended[name] for name in names} == {
        "fetched": 11, "inserted": 3, "updated": 3, "unchanged": 1, "duplicate": 1, "deleted": 3, "raw_written": 9,
    }  # fmt: skip
    assert await live(connection) == "a b c"
    await digest_now(connection)


# -- complete snapshots ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 3])
async def test_records_missing_from_a_complete_reading_are_gone(
    database: ConnectionOptions, connection: Connection, lanes: int
) -> None:
    await good(database, keys("a", "b", "c", "d"), lanes=lanes)

    done = await good(database, keys("a", "d", "e"), lanes=lanes)

    assert (done["gone"], done["snapshot"], done["deleted"], done["fetched"]) == (2, "compared", 0, 3)
    assert await deletions(connection) == {"b": "gone", "c": "gone"}
    after = await digest_now(connection)
    assert int(done["digest"]) == after
    other = ScriptedSource({"p": keys("a", "d", "e")}, name="clean")
    clean = await run(database, [], source=other)
    assert clean.row is not None
    assert int(clean.row["digest"]) == after


async def test_gone_record_that_comes_back_is_revived(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b", "c"))
    before = await digest_now(connection)
    await good(database, keys("a", "b"))

    done = await good(database, keys("a", "b", "c"))

    assert (done["updated"], done["raw_written"], done["gone"]) == (1, 0, 0)
    assert await live(connection) == "a b c"
    assert await digest_now(connection) == before


async def test_without_a_declared_snapshot_nothing_is_gone(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b"))

    done = await good(database, keys("a"), deletes=TOMBSTONES)

    assert (done["gone"], done["snapshot"]) == (0, None)
    assert await live(connection) == "a b"


async def test_empty_reading_deletes_nothing_and_says_so(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b"))

    with capture_logs() as logged:
        done = await good(database, [], confirm=True)

    assert (done["gone"], done["snapshot"]) == (0, "p held no records")
    assert await live(connection) == "a b"
    said = [line["message"] for line in logged if line["event"] == "run.snapshot_not_compared"]
    assert said == ["nothing is taken for gone: p held no records"]


async def test_failed_reading_deletes_nothing(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b", "c", "d", "e"))

    outcome = await run(database, keys("a", "b", "c", "d"), before=failing_at(3))

    assert outcome.state == "failed"
    assert await deletions(connection) == {}


async def test_rejected_and_filtered_records_are_not_gone(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b", "c"))

    done = await good(database, [row("a"), row("b", bad=True), row("c", skip=True)])

    assert (done["gone"], done["snapshot"]) == (0, "compared")
    assert await live(connection) == "a b c"


async def test_one_reject_without_a_key_forbids_it(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b", "c"))

    done = await good(database, [*keys("a", "b"), row(None)])

    assert (done["gone"], await deletions(connection)) == (0, {})
    assert done["snapshot"] == "p:3 was rejected, and its key cannot be told: it may be any record"


@pytest.mark.parametrize(("position", "lanes"), [(3, 1), (6, 2)])
async def test_resumed_pass_knows_what_the_dead_run_had_seen(
    database: ConnectionOptions, connection: Connection, position: int, lanes: int
) -> None:
    await good(database, keys(*"abcdefghij"), lanes=lanes)
    await run(database, keys(*"abcdefgh"), lanes=lanes, before=failing_at(position))

    done = await good(database, keys(*"abcdefgh"), lanes=lanes)

    assert (done["gone"], done["resumes_run_id"] is not None) == (2, True)
    assert await live(connection) == "a b c d e f g h"
    await digest_now(connection)


async def test_batches_that_are_not_known_any_more_forbid_it(
    database: ConnectionOptions, connection: Connection
) -> None:
    await good(database, keys(*"abcdef"))
    broken = await run(database, keys(*"abcde"), before=failing_at(3))
    assert broken.row is not None
    await connection.execute("delete from etl_run_batches where run_id = $1", broken.row["id"])

    done = await good(database, keys(*"abcde"))

    assert done["snapshot"] == "p: 2 of 5 records are known to its batches"
    assert await deletions(connection) == {}


async def test_too_many_at_once_need_a_confirmation(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys(*"abcdef"))

    refused = await run(database, keys("a", "new"))

    assert isinstance(refused.error, TooManyGoneError)
    assert refused.error.exit_code == 7
    assert refused.error.message == (
        "scripted: 5 of 7 records are missing from a complete reading, more than deletes.max_share allows (0.5): "
        "none of them was deleted"
    )
    assert refused.error.hint is not None
    assert "kasparro run scripted --confirm" in refused.error.hint
    assert refused.state == "failed"
    assert await live(connection) == "a b c d e f new"

    confirmed = await good(database, keys("a", "new"), confirm=True)

    assert (confirmed["gone"], confirmed["fetched"]) == (5, 0)
    assert await live(connection) == "a new"
    await digest_now(connection)


async def test_refused_pass_is_read_again_when_nobody_confirms(
    database: ConnectionOptions, connection: Connection
) -> None:
    await good(database, keys(*"abcdef"))
    await run(database, keys("a"))

    again = await run(database, keys("a"))
    mended = await good(database, keys(*"abcde"))

    assert isinstance(again.error, TooManyGoneError)
    assert again.row is not None
    assert again.row["fetched"] == 1
    assert (mended["gone"], mended["fetched"]) == (1, 5)
    assert await deletions(connection) == {"f": "gone"}


async def test_share_is_that_of_the_live_records(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys(*"abcd"))

    assert (await good(database, keys("a", "b")))["gone"] == 2
    assert isinstance((await run(database, keys("c"))).error, TooManyGoneError)
    assert await live(connection) == "a b c"


async def test_gone_record_has_no_open_reject_left(database: ConnectionOptions, connection: Connection) -> None:
    await good(database, keys("a", "b", "c"))
    await good(database, [row("a"), row("b"), row("c", bad=True)])

    await good(database, keys("a", "b"))

    assert await deletions(connection) == {"c": "gone"}
    states = await connection.fetch("select state, resolution from rejected_records")
    assert [tuple(item) for item in states] == [("resolved", "gone")]


class Partly(ScriptedSource):
    """Partitions in `unchanged` hold nothing new, unless everything is asked for."""

    unchanged: tuple[str, ...] = ()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        if partition in self.unchanged and start.settled is not None:
            yield FinalBatch(start.settled, "none")
            return
        async for item in super().read(partition, start):
            yield item


async def test_partition_that_was_not_read_forbids_it_until_the_next_pass_reads_all(
    database: ConnectionOptions, connection: Connection
) -> None:
    first = {"p": keys("a", "b", "c"), "q": keys("x", "y")}
    await good(database, first, source=Partly(first))
    second = {"p": keys("a", "b"), "q": keys("x", "y")}

    partly = Partly(second)
    partly.unchanged = ("q",)
    done = await good(database, second, source=partly)
    kept = await live(connection)
    following = await good(database, second, source=partly)
    partly.unchanged = ("p", "q")
    quiet = await good(database, second, source=partly)

    assert (done["gone"], done["snapshot"]) == (0, "q was not read completely (it is as it was)")
    assert kept == "a b c x y"
    assert (following["gone"], following["fetched"]) == (1, 4)
    assert (quiet["fetched"], quiet["gone"]) == (0, 0)
    assert await live(connection) == "a b x y"


async def test_records_of_a_partition_that_is_there_no_more_are_gone(
    database: ConnectionOptions, connection: Connection
) -> None:
    first = {"p": keys("a", "b", "c"), "q": keys("x", "y")}
    await good(database, first)

    done = await good(database, {"p": first["p"]})

    assert (done["gone"], await live(connection)) == (2, "a b c")
