"""Requeue: what lands, what is superseded, what stays rejected, and how often it counts."""

from dataclasses import replace
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits, Payload, SourceRecord
from kasparro.ingestion.transform import Transformer
from kasparro.services import digest
from kasparro.services.reject_lists import RejectFilter
from tests.scripted import LENIENT, ScriptedSource, job_of, key_of, row

SMALL = BatchLimits(records=3)


async def run(options: ConnectionOptions, job: SourceJob, **request: Any) -> RunOutcome:
    return await run_source(job, Request(**request), Conditions(options))


def mended(source: ScriptedSource, *, skip: bool = False, **more: Any) -> SourceJob:
    """The same source under a mapping that minds only what is `worse`."""

    def normalize(payload: Payload) -> dict[str, object]:
        if payload.get("bad") == "worse":
            return source.normalize(payload)
        return {"record_key": key_of(payload), "title": payload.get("title"), "value": payload.get("value")}

    keep = (lambda payload: not payload.get("bad")) if skip else None
    return job_of(source, mapping="2", transformer=Transformer(normalize, key_of, keep, ()), **more)


async def requeued(options: ConnectionOptions, job: SourceJob, **chosen: Any) -> RunOutcome:
    wanted = RejectFilter(**chosen)
    again, request = requeue_job(job, wanted, options), requeue_request(wanted, Request())
    return await run_source(again, request, Conditions(options, limits=SMALL))


def counts(outcome: RunOutcome) -> dict[str, int]:
    assert outcome.row is not None, outcome.error
    names = (
        "fetched",
        "inserted",
        "updated",
        "unchanged",
        "duplicate",
        "rejected",
        "filtered",
        "deleted",
        "raw_written",
    )
    return {name: outcome.row[name] for name in names if outcome.row[name]}


async def states(connection: Connection) -> list[tuple[str, str | None]]:
    rows = await connection.fetch("select state, resolution from rejected_records order by id")
    return [(item["state"], item["resolution"]) for item in rows]


async def unified(connection: Connection) -> list[tuple[str, str, int]]:
    rows = await connection.fetch(
        "select record_key, title, raw_id from unified_data where deleted_at is null order by record_key"
    )
    return [tuple(item) for item in rows]


async def test_everything_that_passes_now_lands_and_equals_a_clean_load(
    database: ConnectionOptions, connection: Connection
) -> None:
    rows = [row(f"k{n}", f"t{n}", bad=n % 3 == 0) for n in range(20)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    source = ScriptedSource({"p": rows})
    outcome = await requeued(database, mended(source))
    assert counts(outcome) == {"fetched": 7, "inserted": 7}
    assert (outcome.state, outcome.row and outcome.row["operation"]) == ("succeeded", "requeue")
    assert await states(connection) == [("requeued", "loaded")] * 7
    assert source.starts == [], "nothing is fetched"

    await run(database, mended(ScriptedSource({"p": rows}, name="clean")))
    found = await connection.fetch("select digest from sources")
    assert found[0]["digest"] == found[1]["digest"]
    async with connection.transaction():
        assert await digest.recompute(connection, 1) == found[0]["digest"]
    assert await connection.fetchval("select count(*) from etl_checkpoints where scope <> ''") == 0


async def test_records_with_rejects_of_several_keys_and_one_key_twice(
    database: ConnectionOptions, connection: Connection
) -> None:
    """The last payload of a key wins, in one batch or in two; each counts once."""
    rows = [row("a", "1", bad=True), row("b", "1"), row("a", "2", bad=True), row("a", "3", bad=True),
            row("b", "2", bad=True), row("c", "1", bad=True), row("a", "4", bad=True)]  # fmt: skip
    await run(database, job_of(ScriptedSource({"p": rows}, batch_size=100)))
    outcome = await requeued(database, mended(ScriptedSource({"p": rows})))
    assert counts(outcome) == {"fetched": 6, "inserted": 2, "updated": 1, "duplicate": 3}
    assert [item[:2] for item in await unified(connection)] == [("a", "4"), ("b", "2"), ("c", "1")]
    assert await states(connection) == [("requeued", "loaded")] * 6
    assert outcome.row is not None
    async with connection.transaction():
        assert await digest.recompute(connection, 1) == int(outcome.row["digest"])


async def test_only_what_is_chosen_is_judged(database: ConnectionOptions, connection: Connection) -> None:
    rows = [row("a", bad=True), row("b", bad=True), row(None)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    job = mended(ScriptedSource({"p": rows}))
    assert counts(await requeued(database, job, code="key_missing")) == {"fetched": 1, "rejected": 1}
    assert counts(await requeued(database, job, field="other")) == {}
    assert counts(await requeued(database, job, ids=(2, 99))) == {"fetched": 1, "inserted": 1}
    assert await states(connection) == [("open", None), ("requeued", "loaded"), ("open", None)]
    assert counts(await requeued(database, job)) == {"fetched": 2, "inserted": 1, "rejected": 1}


async def test_what_is_rejected_again_stays_open_and_was_seen_no_more_often(
    database: ConnectionOptions, connection: Connection
) -> None:
    rows = [row("a", bad="worse"), row("b", bad=True)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    before = await connection.fetchrow("select times, last_seen_at, raw_id from rejected_records where id = 1")
    outcome = await requeued(database, mended(ScriptedSource({"p": rows})))
    assert (outcome.state, counts(outcome)) == ("partial", {"fetched": 2, "inserted": 1, "rejected": 1})
    assert await connection.fetchrow("select times, last_seen_at, raw_id from rejected_records where id = 1") == before
    assert await states(connection) == [("open", None), ("requeued", "loaded")]


async def test_another_reason_takes_the_place_of_the_old_one(
    database: ConnectionOptions, connection: Connection
) -> None:
    def normalize(_: Payload) -> dict[str, object]:
        return {"record_key": "a", "value": "x"}

    rows = [row("a", bad=True)]
    source = ScriptedSource({"p": rows})
    await run(database, job_of(source))
    job = job_of(source, mapping="2", transformer=Transformer(normalize, key_of))
    assert counts(await requeued(database, job)) == {"fetched": 1, "rejected": 1}
    found = await connection.fetch("select code, state, resolution, raw_id, times from rejected_records order by id")
    assert [tuple(item) for item in found] == [
        ("bad", "resolved", "other_reason", 1, 1), ("invalid_decimal", "open", None, 1, 1),
    ]  # fmt: skip
    seen = await connection.fetch("select last_seen_at from rejected_records")
    assert seen[0] == seen[1], "to judge it again is not to see it again"


async def test_what_where_leaves_out_now_is_resolved(database: ConnectionOptions, connection: Connection) -> None:
    rows = [row("a", bad=True), row("b", bad=True)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    outcome = await requeued(database, mended(ScriptedSource({"p": rows}), skip=True))
    assert counts(outcome) == {"fetched": 2, "filtered": 2}
    assert await states(connection) == [("resolved", "filtered")] * 2


async def test_reject_without_a_key_that_is_older_than_the_record_is_superseded(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Nothing could settle it when its key loaded: it had none by the mapping of then."""
    old, new = row(None, "old", other="a"), row("a", "new")
    await run(database, job_of(ScriptedSource({"p": [old]})))
    await run(database, job_of(ScriptedSource({"p": [new]})), full_refresh=True)

    def other_key(payload: Payload) -> str:
        return str(payload.get("key") or payload["other"])

    def normalize(payload: Payload) -> dict[str, object]:
        return {"record_key": other_key(payload), "title": payload["title"]}

    transformer = Transformer(normalize, other_key)
    outcome = await requeued(database, job_of(ScriptedSource({"p": []}), mapping="2", transformer=transformer))
    assert counts(outcome) == {"fetched": 1, "unchanged": 1}
    assert await unified(connection) == [("a", "new", 2)]
    assert await states(connection) == [("resolved", "superseded")]


async def test_payload_that_came_back_lands_although_its_raw_row_is_the_older_one(
    database: ConnectionOptions, connection: Connection
) -> None:
    """P is rejected, Q loads, P comes again, is rejected again, and keeps its first raw row."""
    bad, good = row("a", "bad", bad=True), row("a", "good")
    for rows in ([bad], [good], [bad]):
        await run(database, job_of(ScriptedSource({"p": rows})), full_refresh=True)
    assert await unified(connection) == [("a", "good", 2)]
    assert counts(await requeued(database, mended(ScriptedSource({"p": []})))) == {"fetched": 1, "updated": 1}
    assert await unified(connection) == [("a", "bad", 1)]


async def test_of_two_payloads_the_one_seen_last_wins(database: ConnectionOptions, connection: Connection) -> None:
    """Whatever their raw rows; and also where the older one is requeued alone, or first."""
    one, two = row("a", "one", bad=True), row("a", "two", bad="x")
    for rows in ([one], [two], [one]):
        await run(database, job_of(ScriptedSource({"p": rows})), full_refresh=True)
    job = mended(ScriptedSource({"p": []}))
    assert counts(await requeued(database, job, ids=(2,))) == {"fetched": 1, "inserted": 1}
    assert await states(connection) == [("open", None), ("requeued", "loaded")], "the newer one stays"
    assert counts(await requeued(database, job)) == {"fetched": 1, "updated": 1}
    assert await unified(connection) == [("a", "one", 1)]


async def test_older_rejects_of_a_key_are_settled_by_a_newer_one(
    database: ConnectionOptions, connection: Connection
) -> None:
    rows = [row("a", "one", bad=True), row("a", "two", bad=True)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    await requeued(database, mended(ScriptedSource({"p": []})), ids=(2,))
    assert await states(connection) == [("resolved", "superseded"), ("requeued", "loaded")]


async def test_what_a_backfill_has_rejected_lands_only_where_there_is_no_record(
    database: ConnectionOptions, connection: Connection
) -> None:
    """It is from the past, although it was seen last; also when it has been requeued in vain before."""
    await run(database, job_of(ScriptedSource({"p": [row("a", "new")]})))
    old = [row("a", "old", bad=True), row("b", "older", bad=True), row("b", "old", bad=True)]
    await run(database, job_of(ScriptedSource({"p": old})), full_refresh=True)
    await connection.execute("update etl_runs set operation = 'backfill' where id = 2")
    in_vain = replace(job_of(ScriptedSource({"p": []})), mapping_hash="other")
    assert counts(await requeued(database, in_vain)) == {"fetched": 3, "rejected": 3}
    outcome = await requeued(database, mended(ScriptedSource({"p": []})))
    assert counts(outcome) == {"fetched": 3, "inserted": 1, "duplicate": 1, "unchanged": 1}
    assert [item[:2] for item in await unified(connection)] == [("a", "new"), ("b", "old")]
    assert (await states(connection))[0] == ("resolved", "superseded")


async def test_record_that_was_deleted_since_is_not_revived(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Unless it was a replay that left it out, whose mapping did not take the payload."""
    for rows in ([row("a"), row("b")], [row("a", "later", bad=True), row("b", "later", bad=True)]):
        await run(database, job_of(ScriptedSource({"p": rows})), full_refresh=True)
    await connection.execute(
        "update unified_data set deleted_at = now(), deletion = case record_key when 'a' then 'gone' else 'replay' end"
    )
    await connection.execute("update sources set digest = 0")
    outcome = await requeued(database, mended(ScriptedSource({"p": []})))
    assert counts(outcome) == {"fetched": 2, "unchanged": 1, "updated": 1}
    assert [item[:2] for item in await unified(connection)] == [("b", "later")]
    async with connection.transaction():
        assert outcome.row is not None
        assert await digest.recompute(connection, 1) == int(outcome.row["digest"])


async def test_tombstone_by_todays_configuration_deletes_what_is_older(
    database: ConnectionOptions, connection: Connection
) -> None:
    for rows in ([row("a")], [row("a", "gone", bad=True), row("b", "gone", bad=True)]):
        await run(database, job_of(ScriptedSource({"p": rows})), full_refresh=True)
    job = mended(ScriptedSource({"p": []}))
    marked = Transformer(lambda _: {}, key_of, is_tombstone=lambda payload: payload["title"] == "gone")
    outcome = await requeued(database, replace(job, transformer=marked))
    assert counts(outcome) == {"fetched": 2, "deleted": 1, "unchanged": 1}
    assert await unified(connection) == []
    assert await states(connection) == [("resolved", "tombstone")] * 2


async def test_what_its_reader_knew_to_be_wrong_is_rejected_again(
    database: ConnectionOptions, connection: Connection
) -> None:
    """The payload does not show it: a mapping that asks for little would let it pass."""
    rows = [row("a", bad=True), {"_unstorable": "AA=="}]
    await run(database, job_of(ScriptedSource({"p": rows})))
    await connection.execute("update rejected_records set code = 'ragged_row', field = null where code = 'bad'")

    def anything(payload: Payload) -> dict[str, object]:
        return {"record_key": str(payload.get("key")), "title": "made up"}

    job = job_of(ScriptedSource({"p": []}), mapping="2", transformer=Transformer(anything, lambda _: "k"))
    outcome = await requeued(database, job)
    assert counts(outcome) == {"fetched": 2, "rejected": 2}
    found = await connection.fetch("select code, state from rejected_records order by id")
    assert [tuple(item) for item in found] == [
        ("ragged_row", "open"), ("key_missing", "resolved"), ("unstorable", "open"),
    ]  # fmt: skip


async def test_dropped_reject_stays_dropped_when_it_is_seen_again(
    database: ConnectionOptions, connection: Connection
) -> None:
    rows = [row("a", bad=True)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    await connection.execute("update rejected_records set state = 'dropped', resolution = 'test data'")
    await run(database, job_of(ScriptedSource({"p": rows})), full_refresh=True)
    assert await states(connection) == [("dropped", "test data")]
    assert await connection.fetchval("select times from rejected_records") == 2
    assert counts(await requeued(database, mended(ScriptedSource({"p": []})))) == {}


async def test_requeue_leaves_an_open_pass_as_it_is_and_a_pass_a_dead_requeue(
    database: ConnectionOptions, connection: Connection
) -> None:
    armed = [SourceError("gone"), SourceError("gone")]

    def before(_: str, position: int) -> None:
        if position == 6 and armed:
            raise armed.pop()

    rows = [row(f"k{n}", bad=n in (1, 4)) for n in range(10)]
    source = ScriptedSource({"p": rows}, before=before)
    assert (await run(database, replace(mended(source), transformer=job_of(source).transformer))).state == "failed"
    checkpoint = "select ordinal, cursor::text, pass_id, run_id from etl_checkpoints where scope = '' and lane >= 0"
    at = await connection.fetchrow(checkpoint)
    assert counts(await requeued(database, mended(source))) == {"fetched": 2, "inserted": 2}
    assert await connection.fetchrow(checkpoint) == at
    await connection.execute(
        "insert into etl_checkpoints (source_id, partition, lane, pass_id, run_id, scope, ordinal, cursor) "
        "values (1, 'rejects', 0, 99, 2, 'requeue:dead', 5, '{\"until\": 9}')"
    )
    failed = await run(database, mended(source))
    rest = await run(database, mended(source))
    assert [failed.state, rest.state] == ["failed", "succeeded"]
    assert [counts(failed), counts(rest)] == [{}, {"fetched": 4, "inserted": 4, "raw_written": 4}]
    assert await connection.fetchval("select ordinal from etl_checkpoints where scope = 'requeue:dead'") == 5
    await requeued(database, mended(source))
    assert await connection.fetchval("select count(*) from etl_checkpoints where scope <> ''") == 0


async def test_no_limit_of_rejects_applies(database: ConnectionOptions) -> None:
    rows = [row(f"k{n}", bad="worse") for n in range(30)]
    await run(database, job_of(ScriptedSource({"p": rows})))
    strict = mended(ScriptedSource({"p": []}), limit=LENIENT.model_copy(update={"share": 0.0, "min_records": 1}))
    outcome = await requeued(database, strict)
    assert (outcome.state, counts(outcome)) == ("partial", {"fetched": 30, "rejected": 30})


@pytest.mark.parametrize("field", ["p", None])
def test_records_are_those_that_were_stored(field: str | None) -> None:
    from kasparro.ingestion.operations.requeue import record_of
    from kasparro.services.requeue_pages import Waiting

    known = (("ragged_row", "two cells", field),)
    record = record_of(Waiting(1, '{"a": 1.50, "b": [1e400]}', "f.csv:3", known, ()))
    assert isinstance(record, SourceRecord)
    assert (str(record.payload["a"]), record.locator) == ("1.50", "f.csv:3")
    assert [(defect.code, defect.field) for defect in record.defects] == [("ragged_row", field)]
