"""Whole runs: passes, resumes, failures, and what stands in the database afterwards."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import (
    ConservationError,
    IdentityChangedError,
    PassExpiredError,
    RunConflictError,
    SourceError,
    StoppedError,
    SystemicError,
    UpstreamError,
)
from kasparro.ingestion.coordinator import Request, hold
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.schemas.configuration import RejectLimit
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", "a") for n in range(10)]


async def run(options: ConnectionOptions, job: SourceJob, **request: Any) -> RunOutcome:
    return await run_source(job, Request(**request), Conditions(options))


def counts(outcome: RunOutcome, *names: str) -> list[int]:
    assert outcome.row is not None
    return [outcome.row[name] for name in names]


def failing_at(position: int, error: BaseException) -> Any:
    """Raises once, when the source is about to read from `position`."""
    armed = [error]

    def before(_partition: str, at: int) -> None:
        if at == position and armed:
            raise armed.pop()

    return before


async def test_second_run_changes_nothing(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    before = await connection.fetch("select * from unified_data order by id")
    outcome = await run(database, job_of(ScriptedSource({"p": ROWS})))

    assert counts(outcome, "fetched", "unchanged", "inserted", "updated", "raw_written") == [10, 10, 0, 0, 0]
    assert await connection.fetch("select * from unified_data order by id") == before
    assert await connection.fetchval("select count(*) from raw_csv_data") == 10


@pytest.mark.parametrize(
    ("hints", "seconds"),
    [([600.0, 90.0], 90), ([600.0, None], None), ([600.0], None), ([None, None], None), ([1e9, 1e12], 86_400)],
)
async def test_run_waits_for_its_servers_where_all_of_them_ask_for_it(
    database: ConnectionOptions, hints: list[float | None], seconds: int | None
) -> None:
    asked = dict(zip("pq", hints, strict=False))

    def busy(partition: str, _position: int) -> None:
        if partition in asked:
            raise UpstreamError("busy", url="https://example.org/", retry_after_seconds=asked[partition])

    outcome = await run(database, job_of(ScriptedSource({"p": ROWS, "q": ROWS}, before=busy)))
    assert outcome.row is not None
    assert outcome.state == "failed"
    waits = outcome.not_before and outcome.not_before - outcome.row["finished_at"]
    assert (waits and waits.total_seconds()) == seconds


async def test_failed_run_is_resumed_where_its_last_batch_committed(database: ConnectionOptions) -> None:
    source = ScriptedSource({"p": ROWS}, before=failing_at(6, SourceError("p: gone")))
    failed = await run(database, job_of(source))
    resumed = await run(database, job_of(source))

    assert (failed.state, failed.error and failed.error.code, resumed.state) == ("failed", "source", "succeeded")
    assert failed.row is not None
    assert resumed.row is not None
    assert resumed.row["resumes_run_id"] == failed.row["id"]
    assert resumed.row["pass_id"] == failed.row["pass_id"]
    assert (counts(failed, "fetched"), counts(resumed, "fetched")) == ([6], [4])
    assert source.starts[1].cursor == {"position": 6}
    assert (failed.row["error_code"], failed.row["error_message"]) == ("source", "p: gone")


async def test_only_the_final_batch_moves_what_stands_for_the_pass(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = ScriptedSource({"p": ROWS}, before=failing_at(10, SourceError("at the very end")))
    await run(database, job_of(source))
    assert await connection.fetchval("select count(*) from etl_checkpoints where lane = -1") == 0
    await run(database, job_of(source))
    settled = await connection.fetchrow("select cursor::text, coverage from etl_checkpoints where lane = -1")
    assert settled is not None
    assert (settled["cursor"], settled["coverage"]) == ('{"read": 10}', "full")


@pytest.mark.parametrize("change", [{"config_hash": "other"}, {"mapping": "2"}])
async def test_open_pass_is_abandoned_when_the_configuration_changed(
    database: ConnectionOptions, change: dict[str, Any]
) -> None:
    source = ScriptedSource({"p": ROWS}, before=failing_at(6, SourceError("gone")))
    failed = await run(database, job_of(source))
    again = await run(database, job_of(source, **change))
    assert failed.row is not None
    assert again.row is not None
    assert again.row["pass_id"] > failed.row["pass_id"]
    assert counts(again, "fetched") == [10]


async def test_full_refresh_reads_again_also_when_it_is_resumed(database: ConnectionOptions) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    source = ScriptedSource({"p": ROWS}, before=failing_at(0, SourceError("gone")))
    await run(database, job_of(source), full_refresh=True)
    outcome = await run(database, job_of(source))
    assert [start.settled for start in source.starts] == [None, None]
    assert counts(outcome, "fetched", "unchanged", "raw_written") == [10, 10, 0]
    await run(database, job_of(source))
    assert source.starts[2].settled == {"read": 10}


async def test_cursor_that_does_not_fit_any_more_begins_the_pass_anew(database: ConnectionOptions) -> None:
    source = ScriptedSource({"p": ROWS}, before=failing_at(6, SourceError("gone")))
    await run(database, job_of(source))
    source.expired = PassExpiredError("p: replaced while it was read")
    outcome = await run(database, job_of(source))
    assert outcome.state == "succeeded"
    assert counts(outcome, "fetched", "unchanged", "inserted") == [10, 6, 4]


async def test_good_partitions_finish_when_one_fails_and_only_the_open_one_is_read_next(
    database: ConnectionOptions,
) -> None:
    def before(partition: str, position: int) -> None:
        if partition == "b" and position == 3 and len(source.starts) < 4:
            raise SourceError("b: broken")

    source = ScriptedSource({name: [row(f"{name}{n}") for n in range(5)] for name in "abc"}, before=before)
    failed = await run(database, job_of(source))
    assert (failed.state, counts(failed, "fetched")) == ("failed", [13])
    again = await run(database, job_of(source))
    assert (again.state, counts(again, "fetched"), len(source.starts)) == ("succeeded", [2], 4)


async def test_partition_that_fails_for_ever_keeps_no_other_from_being_read(database: ConnectionOptions) -> None:
    def before(partition: str, position: int) -> None:
        if partition == "b" and position == 3:
            raise SourceError("b: broken")

    source = ScriptedSource({name: [row(f"{name}{n}") for n in range(5)] for name in "abc"}, before=before)
    fetched = [counts(await run(database, job_of(source)), "fetched")[0] for _ in range(4)]
    assert fetched == [13, 0, 13, 0], "all; b alone, at its position; all again; and so on"
    source.records["c"] = [*source.records["c"], row("c5")]
    assert counts(await run(database, job_of(source)), "inserted") == [1]


async def test_only_partition_keeps_its_position_however_often_it_fails(database: ConnectionOptions) -> None:
    def before(_partition: str, position: int) -> None:
        if position == 6 and len(source.starts) < 4:
            raise SourceError("down")

    source = ScriptedSource({"p": ROWS}, before=before)
    fetched = [counts(await run(database, job_of(source)), "fetched")[0] for _ in range(4)]
    assert fetched == [6, 0, 0, 4]


async def test_systemic_batch_is_not_written(database: ConnectionOptions, connection: Connection) -> None:
    rows = [*[row(f"k{n}") for n in range(30)], *[row(f"k{n}", bad=True) for n in range(30, 60)]]
    job = job_of(ScriptedSource({"p": rows}, batch_size=30), limit=RejectLimit(share=0.5, min_records=20))
    outcome = await run(database, job)
    assert outcome.state == "systemic"
    assert isinstance(outcome.error, SystemicError)
    assert "30 x bad" in outcome.error.message
    assert "p:31" in outcome.error.message
    assert await connection.fetchval("select count(*) from unified_data") == 30
    assert await connection.fetchval("select count(*) from rejected_records") == 0
    assert await connection.fetchval("select error_message from etl_runs") == outcome.error.about("scripted")


async def test_rejects_make_a_run_partial_and_resolve_by_themselves(
    database: ConnectionOptions, connection: Connection
) -> None:
    first = await run(database, job_of(ScriptedSource({"p": [row("a"), row("b", bad=True), row(None)]})))
    assert (first.state, counts(first, "rejected", "raw_written")) == ("partial", [2, 3])
    rejects = await connection.fetch("select code, locator, record_key, state from rejected_records order by id")
    assert [tuple(item) for item in rejects] == [
        ("bad", "p:2", "b", "open"),
        ("key_missing", "p:3", None, "open"),
    ]
    await run(database, job_of(ScriptedSource({"p": [row("a"), row("b")]})))
    states = await connection.fetch("select state, resolution from rejected_records order by id")
    assert [tuple(item) for item in states] == [("resolved", "loaded"), ("open", None)]
    await run(database, job_of(ScriptedSource({"p": [row("b"), row("b", bad=True)]})))
    assert await connection.fetchval("select state from rejected_records where code = 'bad'") == "open"


async def test_run_whose_sums_do_not_add_up_is_failed_and_settles_nothing(
    database: ConnectionOptions, connection: Connection
) -> None:
    """A batch row that is changed behind the run's back: only the check over the whole run can see it."""

    async def tamper() -> None:
        await connection.execute("update etl_run_batches set fetched = fetched + 1")

    outcome = await tampered_run(database, tamper)
    assert isinstance(outcome.error, ConservationError)
    assert "11 records fetched, 10 accounted for (off by -1)" in outcome.error.message
    assert outcome.state == "failed"
    assert await connection.fetchval("select count(*) from etl_checkpoints where lane = -1") == 0


async def test_run_whose_raw_rows_do_not_add_up_is_failed(database: ConnectionOptions, connection: Connection) -> None:
    async def tamper() -> None:
        await connection.execute("update etl_run_batches set raw_written = raw_written - 1")

    outcome = await tampered_run(database, tamper)
    assert isinstance(outcome.error, ConservationError)
    assert "9 raw rows written, 10 expected (off by -1)" in outcome.error.message
    assert outcome.state == "failed"


async def tampered_run(options: ConnectionOptions, tamper: Any) -> RunOutcome:
    """A run of one batch; `tamper` is awaited between its commit and the final transaction."""

    class Tampering(ScriptedSource):
        async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
            async for item in super().read(partition, start):
                if isinstance(item, FinalBatch):
                    await committed.wait()
                    await tamper()
                yield item

    committed = asyncio.Event()
    job = job_of(Tampering({"p": ROWS}, batch_size=100))
    return await run_source(job, Request(), Conditions(options, committed=lambda *_: committed.set()))


async def test_second_run_of_a_held_source_is_refused(database: ConnectionOptions) -> None:
    job = job_of(ScriptedSource({"p": ROWS}))
    async with hold(database, job):
        with pytest.raises(RunConflictError, match="scripted: another run holds it"):
            async with hold(database, job, lock_wait_seconds=0.2):
                pass
    assert (await run(database, job)).state == "succeeded"


async def test_stop_ends_at_a_batch_edge_and_the_next_run_goes_on(database: ConnectionOptions) -> None:
    stop = asyncio.Event()
    source = ScriptedSource({"p": ROWS}, before=lambda _, position: stop.set() if position == 3 else None)
    stopped = await run_source(job_of(source), Request(), Conditions(database, stop=stop))
    assert isinstance(stopped.error, StoppedError)
    assert (stopped.state, counts(stopped, "fetched")) == ("cancelled", [6])
    rest = await run(database, job_of(source))
    assert (rest.state, counts(rest, "fetched")) == ("succeeded", [4])


async def test_stop_does_not_wait_for_a_source_that_is_silent(
    database: ConnectionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(ScriptedSource):
        async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
            async for item in super().read(partition, start):
                yield item
                stop.set()
                await asyncio.Event().wait()

    monkeypatch.setattr("kasparro.ingestion.pipeline.STOP_GRACE_SECONDS", 0.05)
    stop = asyncio.Event()
    conditions = Conditions(database, stop=stop)
    async with asyncio.timeout(30):
        stopped = await run_source(job_of(Silent({"p": ROWS})), Request(), conditions)
    assert isinstance(stopped.error, StoppedError)
    assert counts(stopped, "fetched") == [3]


async def test_changed_key_of_a_source_with_data_is_refused_with_a_way_out(database: ConnectionOptions) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    changed = job_of(ScriptedSource({"p": ROWS}), identity={"type": "csv", "key": ["other"]})
    outcome = await run(database, changed)
    assert isinstance(outcome.error, IdentityChangedError)
    assert "key was ['key'] and is now ['other']" in outcome.error.message
    assert outcome.error.hint is not None
    assert "new name" in outcome.error.hint
    assert outcome.error.exit_code == 3


async def test_source_without_data_may_change_its_key(database: ConnectionOptions) -> None:
    await run(database, job_of(ScriptedSource({"p": []})))
    changed = job_of(ScriptedSource({"p": ROWS}), identity={"type": "csv", "key": ["other"]})
    assert (await run(database, changed)).state == "succeeded"


async def test_source_that_cannot_say_what_it_has_leaves_a_failed_run(
    database: ConnectionOptions, connection: Connection
) -> None:
    class Unreachable(ScriptedSource):
        async def partitions(self) -> list[str]:
            raise SourceError("no file matches 'x*.csv'")

    outcome = await run(database, job_of(Unreachable({})))
    assert isinstance(outcome.error, SourceError)
    found = await connection.fetchrow("select state, error_code, error_message from etl_runs")
    assert found is not None
    assert tuple(found) == ("failed", "source", "no file matches 'x*.csv'")


async def test_source_that_is_away_for_a_while_keeps_its_open_pass(database: ConnectionOptions) -> None:
    class Away(ScriptedSource):
        async def partitions(self) -> list[str]:
            raise SourceError("not there")

    source = ScriptedSource({"p": ROWS}, before=failing_at(6, SourceError("gone")))
    await run(database, job_of(source))
    assert (await run(database, job_of(Away({})))).state == "failed"
    outcome = await run(database, job_of(source))
    assert (outcome.state, counts(outcome, "fetched")) == ("succeeded", [4])


async def test_source_with_nothing_to_read_is_an_error(database: ConnectionOptions) -> None:
    outcome = await run(database, job_of(ScriptedSource({})))
    assert isinstance(outcome.error, SourceError)
    assert "nothing to read" in outcome.error.message


async def test_bug_in_a_source_closes_the_run_and_is_logged_once(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = ScriptedSource({"p": ROWS}, before=failing_at(3, ZeroDivisionError("a bug")))
    with capture_logs() as logs:
        outcome = await run(database, job_of(source))
    assert (outcome.state, outcome.error and outcome.error.exit_code) == ("failed", 1)
    [logged] = [line for line in logs if line["event"] == "run.failed_unexpectedly"]
    assert isinstance(logged["exc_info"], ZeroDivisionError)
    assert await connection.fetchval("select state || ': ' || error_message from etl_runs") == (
        "failed: unexpected ZeroDivisionError: a bug"
    )


async def test_bug_before_there_is_a_run_ends_in_the_outcome(
    database: ConnectionOptions, connection: Connection
) -> None:
    outcome = await run(database, job_of(ScriptedSource({"not \udce9 UTF-8": ROWS})))
    assert (outcome.state, outcome.row, outcome.error and outcome.error.exit_code) == ("failed", None, 1)
    assert await connection.fetchval("select count(*) from etl_runs") == 0


async def test_error_that_jsonb_and_text_cannot_hold_is_stored_with_escapes(
    database: ConnectionOptions, connection: Connection
) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS}, before=failing_at(3, SourceError("a\0b\udce9")))))
    assert await connection.fetchval("select error_message from etl_runs") == "a\\x00b\\xe9"


async def test_mapping_change_updates_without_raw_rows(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    before = await connection.fetch("select record_hash, last_changed_at from unified_data order by id")
    outcome = await run(database, job_of(ScriptedSource({"p": ROWS}), mapping="2"))
    assert counts(outcome, "updated", "raw_written") == [10, 0]
    assert await connection.fetch("select record_hash, last_changed_at from unified_data order by id") == before


async def test_run_adds_to_the_metric_counters(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    await run(database, job_of(ScriptedSource({"p": ROWS})))
    rows = await connection.fetch("select name, label, value from metric_counters where value > 0 order by 1, 2")
    others = ("run_duration", "stage_seconds")
    assert [tuple(item) for item in rows if not item["name"].startswith(others)] == [
        ("records_total", "inserted", 10.0),
        ("records_total", "unchanged", 10.0),
        ("runs_total", "succeeded", 2.0),
    ]
    taken = await connection.fetchval("select sum(extract(epoch from finished_at - started_at)) from etl_runs")
    durations = [tuple(item)[0::2] for item in rows if item["name"].startswith("run_duration")]
    assert sum(value for name, value in durations if name == "run_duration_seconds_bucket") == 2
    assert [round(value, 6) for name, value in durations if name == "run_duration_seconds_sum"] == [float(taken)]


async def test_keyless_reject_reaches_the_lane_of_its_content(database: ConnectionOptions) -> None:
    rows = [row(None, title) for title in "abcdefgh"]
    outcome = await run(database, job_of(ScriptedSource({"p": rows})), lanes=3)
    assert counts(outcome, "rejected", "raw_written") == [8, 8]


async def test_seconds_of_reading_and_transform_are_told_once_for_each_batch(
    database: ConnectionOptions, connection: Connection
) -> None:
    """However many lanes have a share of it; storing is each lane's own."""
    await run(database, job_of(ScriptedSource({"p": [row(f"k{n}") for n in range(30)]}, batch_size=10)), lanes=3)
    told = await connection.fetch("select ordinal, stage_seconds::text as text from etl_run_batches")
    assert len(told) > 3
    assert all('"store"' in item["text"] for item in told)
    assert sorted(item["ordinal"] for item in told if '"read"' in item["text"]) == [10, 20, 30]


async def test_resume_with_lanes_at_different_places_counts_nothing_twice(
    database: ConnectionOptions, connection: Connection
) -> None:
    """One lane is cut off from its second commit on, while the others go on: those skip what they have."""
    source = ScriptedSource({"p": [row(f"k{n}") for n in range(30)]})
    await connection.execute(
        "create function refuse() returns trigger language plpgsql as "
        "'begin raise exception using errcode = ''40001'', message = ''refused''; end';"
        "create trigger refuse before insert on etl_run_batches for each row when (new.lane = 1 and new.seq = 3) "
        "execute function refuse()"
    )
    failed = await run(database, job_of(source), lanes=3)
    ordinals = await connection.fetch("select ordinal from etl_checkpoints where lane >= 0 order by lane")
    assert failed.state == "failed"
    assert len({item["ordinal"] for item in ordinals}) > 1
    await connection.execute("drop trigger refuse on etl_run_batches")

    rest = await run(database, job_of(source))
    total = await connection.fetchrow(
        "select sum(fetched)::int, sum(inserted)::int, sum(duplicate)::int, sum(raw_written)::int from etl_runs"
    )
    assert total is not None
    assert tuple(total) == (30, 30, 0, 30)
    assert rest.state == "succeeded"
