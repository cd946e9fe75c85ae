"""Retention over months of payloads: what is old goes, what is pointed at stays, and nothing is lost midway."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import ConnectionLostError, RunConflictError
from kasparro.ingestion.coordinator import Request, locked_source
from kasparro.ingestion.operations import retention
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.operations.retention import RetentionReport, apply, plan
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import Retention
from kasparro.schemas.configuration.schedule import every
from kasparro.services import data, raw_partitions, raw_retention, raw_rows, retention_lock
from kasparro.services.raw_partitions import month_of
from kasparro.services.reject_lists import RejectFilter
from kasparro.workers import housekeeping
from kasparro.workers.housekeeping import keep_house
from kasparro.workers.scheduler import Scheduled, Scheduler
from tests.fix_database import LOCK_WAITERS
from tests.scripted import ScriptedSource, job_of, key_of, row

NOW = datetime.now(UTC)
MONTHS = [month_of(NOW)]
for _ in range(6):
    MONTHS.append(month_of(MONTHS[-1] - timedelta(days=1)))
MONTHS.reverse()
"""The last seven months, this one last."""
RAW = Retention.model_validate({"raw": "90d"})
AGES = {"scripted": RAW}


def partition_of(month: datetime, type_: str = "csv") -> str:
    return f"raw_{type_}_data_y{month:%Ym%m}"


async def load(database: ConnectionOptions, payloads: list[dict[str, Any]], name: str = "scripted") -> RunOutcome:
    outcome = await run_source(job_of(ScriptedSource({"p": payloads}, name=name)), Request(), Conditions(database))
    assert outcome.state in {"succeeded", "partial"}, outcome.error
    return outcome


async def move_to(connection: Connection, month: datetime, *, name: str = "scripted") -> None:
    """Make this month's rows of the source, those of the last load, rows of another month."""
    async with connection.transaction():
        await raw_partitions.ensure(connection, month)
    await connection.execute(
        "update raw_csv_data r set fetched_at = $1::timestamptz + interval '10 days' from sources s "
        "where s.id = r.source_id and s.name = $2 and r.fetched_at >= $3::timestamptz",
        month,
        name,
        MONTHS[-1],
    )


async def load_months(database: ConnectionOptions, connection: Connection, months: int = 2) -> None:
    """`a` changes each month, `b` came in the first, `c` is rejected in the second and still open, `d` in the third."""
    for number, month in enumerate(MONTHS[:months]):
        payloads = [row("a", f"a{number}"), row("b")]
        payloads += [row("c", bad=True)] if number == 1 else []
        payloads += [row("d", bad=True)] if number == 2 else [row("d")] if number > 2 else []
        await load(database, payloads)
        await move_to(connection, month)


async def everything(connection: Connection) -> dict[str, Any]:
    """All that could be lost."""
    tables = ("raw_csv_data", "kept_payloads", "unified_data", "rejected_records", "etl_runs", "etl_run_batches")
    return {
        table: [tuple(found.values()) for found in await connection.fetch(f"select * from {table} order by 1, 2, 3, 4")]
        for table in tables
    } | {"partitions": await partitions(connection)}


async def partitions(connection: Connection) -> set[str]:
    rows = await connection.fetch("select inhrelid::regclass::text as name from pg_inherits")
    return {row["name"] for row in rows if row["name"].startswith("raw_csv") and not row["name"].endswith("_pkey")}


def fates(report: RetentionReport, type_: str = "csv") -> dict[str, str]:
    return {f"{item.month.month:%Y-%m}": item.fate for item in report.months if item.month.source_type == type_}


async def pointed(connection: Connection) -> set[str]:
    """Keys of records and open rejects whose payload can be read."""
    rows = await connection.fetch(
        "select record_key, raw_id from unified_data "
        "union all select record_key, raw_id from rejected_records where state = 'open'"
    )
    found = await raw_rows.payloads(connection, "csv", [row["raw_id"] for row in rows])
    for each in found.values():
        assert await data.read_raw(connection, each.id) is not None
    return {row["record_key"] for row in rows if row["raw_id"] in found}


async def test_old_months_go_and_what_is_pointed_at_stays(database: ConnectionOptions, connection: Connection) -> None:
    await load_months(database, connection, 6)
    digest = await connection.fetchval("select digest from sources")
    old = [month for month in MONTHS if raw_partitions.month_after(month) <= NOW - timedelta(days=90)]
    assert len(old) >= 3
    with capture_logs() as logs:
        report = await apply(database, AGES, NOW)
    assert [f"{month:%Y-%m}" for month in old] == [month for month, fate in fates(report).items() if fate == "dropped"]
    assert await partitions(connection) & {partition_of(month) for month in MONTHS[:-1]} == {
        partition_of(month) for month in MONTHS[:-1] if month not in old
    }
    assert await pointed(connection) == {"a", "b", "c", "d"}
    kept = await connection.fetch("select record_key from kept_payloads order by id")
    assert [found["record_key"] for found in kept] == ["b", "c"]
    (line,) = [entry for entry in logs if entry["event"] == "retention.finished"]
    assert (line["kept"], line["payloads"]) == (
        2,
        sum(item.rows - (item.kept or 0) for item in report.months if item.fate == "dropped"),
    )
    assert await connection.fetchval("select digest from sources") == digest
    again = await apply(database, AGES, NOW)
    assert "dropped" not in fates(again).values()


async def test_next_load_goes_on_as_before(database: ConnectionOptions, connection: Connection) -> None:
    await load_months(database, connection, 6)
    await apply(database, AGES, NOW)
    outcome = await load(database, [row("a", "new"), row("b"), row("c", bad=True), row("d")])
    assert outcome.row is not None
    assert [outcome.row[name] for name in ("updated", "unchanged", "raw_written")] == [1, 2, 1]
    assert await pointed(connection) == {"a", "b", "c", "d"}


async def test_dry_run_says_the_same_and_changes_nothing(database: ConnectionOptions, connection: Connection) -> None:
    await load_months(database, connection)
    before = await everything(connection)
    planned = await plan(database, AGES, NOW)
    assert await everything(connection) == before
    done = await apply(database, AGES, NOW)
    to_drop = [(item.month.partition, item.rows, item.kept) for item in planned.months if item.fate == "drop"]
    dropped = [(item.month.partition, item.rows, item.kept) for item in done.months if item.fate == "dropped"]
    assert to_drop == dropped != []
    assert planned.size_bytes == done.size_bytes > 0


async def test_source_without_retention_keeps_the_partition_for_all(
    database: ConnectionOptions, connection: Connection
) -> None:
    for title in ("x", "y"):
        for name in ("scripted", "archive"):
            await load(database, [row("a", title)], name)
            await move_to(connection, MONTHS[0], name=name)
    report = await apply(database, AGES, NOW)
    (fate,) = [item for item in report.months if item.month.month == MONTHS[0] and item.rows]
    assert (fate.fate, fate.reason) == ("keep", "archive: no retention.raw, so payloads are kept for ever")
    assert partition_of(MONTHS[0]) in await partitions(connection)
    older = Retention.model_validate({"raw": "3000d"})
    assert fates(await apply(database, {**AGES, "archive": older}, NOW))[f"{MONTHS[0]:%Y-%m}"] == "keep"
    assert fates(await apply(database, {**AGES, "archive": RAW}, NOW))[f"{MONTHS[0]:%Y-%m}"] == "dropped"


async def test_rows_in_the_default_partition_are_deleted(database: ConnectionOptions, connection: Connection) -> None:
    for title in ("x", "y"):
        await load(database, [row("a", title), row("b")])
    await connection.execute("update raw_csv_data set fetched_at = $1::timestamptz", datetime(2001, 5, 5, tzinfo=UTC))
    report = await apply(database, AGES, NOW)
    assert fates(report)["2001-05"] == "dropped"
    assert await connection.fetchval("select count(*) from raw_csv_data") == 0
    assert await pointed(connection) == {"a", "b"}


async def test_source_that_is_held_is_left_for_the_next_time(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_WAIT_SECONDS", 0.0)
    await load_months(database, connection)
    before = await everything(connection)
    async with locked_source(database, "scripted"):
        report = await apply(database, AGES, NOW)
    assert {item.fate for item in report.months if item.rows} == {"held"}
    assert report.skipped
    assert await everything(connection) == before | {"partitions": await partitions(connection)}
    assert "dropped" in fates(await apply(database, AGES, NOW)).values()


@pytest.mark.parametrize(
    "holding", ["lock table raw_csv_data in access share mode", "select from etl_checkpoints for update"]
)
async def test_reader_or_batch_in_hand_is_reported_and_nothing_is_half_done(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch, holding: str
) -> None:
    """A reader of the table; or a batch of a run whose coordinator is dead, which may still commit."""
    monkeypatch.setattr(retention, "DROP_ATTEMPTS", 1)
    monkeypatch.setattr(retention, "_SETTINGS", {"lock_timeout": "50ms"})
    await load_months(database, connection)
    async with connection.transaction():
        await connection.execute(holding)
        report = await apply(database, AGES, NOW)
        assert {item.fate for item in report.months if item.rows} == {"busy"}
        assert await pointed(connection) == {"a", "b", "c"}
        assert await connection.fetchval("select count(*) from kept_payloads") == 0
    assert "busy" not in fates(await apply(database, AGES, NOW)).values()


async def test_month_that_another_source_writes_to_meanwhile_is_left(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load_months(database, connection)
    await load(database, [row("x")], "other")
    waited_for = raw_retention.keep_out_writers

    async def written_to(own: Connection, partition: str) -> None:
        await connection.execute(
            "update raw_csv_data r set fetched_at = $1::timestamptz from sources s "
            "where s.id = r.source_id and s.name = 'other' and $2::text = $3::text",
            MONTHS[0],
            partition,
            partition_of(MONTHS[0]),
        )
        await waited_for(own, partition)

    monkeypatch.setattr(raw_retention, "keep_out_writers", written_to)
    report = await apply(database, AGES, NOW)
    assert [item.fate for item in report.months if item.rows] == ["busy", "dropped"]
    assert await connection.fetchval("select count(*) from raw_csv_data where record_key = 'x'") == 1


async def test_lost_connection_in_the_middle_loses_nothing(database: ConnectionOptions, connection: Connection) -> None:
    """Ended where it has copied what is pointed at, and waits for a reader to drop the partition."""
    await load_months(database, connection)
    watcher = await connect(database, application_name="kasparro:watcher")
    async with connection.transaction():
        before = await everything(connection)
        working = asyncio.create_task(apply(database, AGES, NOW))
        while not await watcher.fetchval(LOCK_WAITERS):
            pass
        assert await watcher.fetchval("select count(*) from kept_payloads") == 0
        await watcher.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kasparro:retention' "
            "and datname = current_database()"
        )
        with pytest.raises(ConnectionLostError):
            await working
    await watcher.close()
    assert await everything(connection) == before
    assert "dropped" in fates(await apply(database, AGES, NOW)).values()
    assert await pointed(connection) == {"a", "b", "c"}


async def test_kept_payload_goes_when_nothing_points_at_it_any_more(
    database: ConnectionOptions, connection: Connection
) -> None:
    await load_months(database, connection)
    await apply(database, AGES, NOW)
    await load(database, [row("a", "new"), row("b", "changed"), row("c", "now good"), row("d")])
    assert (await plan(database, AGES, NOW)).sources[0].payloads == 3
    report = await apply(database, AGES, NOW)
    assert report.sources[0].payloads == 3
    assert await connection.fetchval("select count(*) from kept_payloads") == 0
    assert await connection.fetchval("select count(*) from rejected_records where record_key = 'c'") == 0


async def test_reject_that_comes_again_after_its_payload_went_is_kept_anew(
    database: ConnectionOptions, connection: Connection
) -> None:
    """A closed reject goes with its payload: else the payload would count as known, and stand nowhere."""
    await load(database, [row("c", bad=True)])
    await load(database, [row("c")])
    await move_to(connection, MONTHS[0])
    report = await apply(database, AGES, NOW)
    assert [item.rejects for item in report.months if item.rows] == [1]
    await load(database, [row("c", bad=True)])
    reject = await connection.fetchrow("select state, raw_id, times from rejected_records")
    assert reject is not None
    assert (reject["state"], reject["times"]) == ("open", 1)
    assert reject["raw_id"] in await raw_rows.payloads(connection, "csv", [reject["raw_id"]])


class Hasty:
    """A clock that moves on by what is waited for, and stops everything after so many days."""

    def __init__(self, time: datetime, stop: asyncio.Event, days: int) -> None:
        self.time, self._stop, self._end = time, stop, time + timedelta(days=days)

    def now(self) -> datetime:
        return self.time

    async def wait(self, seconds: float, event: asyncio.Event) -> None:
        await asyncio.sleep(0)
        if not event.is_set():
            self.time += timedelta(seconds=seconds)
        if self.time >= self._end:
            self._stop.set()


async def test_scheduler_does_it_once_a_day_and_survives_its_failures(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load_months(database, connection)
    failures: list[Exception] = [ConnectionLostError("gone"), RuntimeError("a bug")]
    times: list[datetime] = []

    async def failing(options: ConnectionOptions, ages: retention.Ages, at: datetime) -> RetentionReport:
        times.append(at)
        if failures:
            raise failures.pop(0)
        return await apply(options, ages, at)

    monkeypatch.setattr(retention, "apply", failing)
    stop = asyncio.Event()
    clock = Hasty(NOW - timedelta(days=2), stop, days=2)
    with capture_logs() as logs:
        await keep_house(database, AGES, clock, asyncio.Semaphore(1), stop)
    hours = [round((time - times[0]).total_seconds() / 3600) for time in times]
    assert hours == [0, 1, 2, 26]
    assert [line["event"] for line in logs if line["log_level"] != "info"] == [
        "retention.failed",
        "retention.failed_unexpectedly",
    ]
    assert await pointed(connection) == {"a", "b", "c"}
    assert await connection.fetchval("select count(*) from kept_payloads") == 3


async def test_scheduler_begins_it_where_a_source_has_retention(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a stop ends it at once, wherever it is."""
    await load_months(database, connection)
    monkeypatch.setattr(housekeeping, "FIRST", timedelta(0))
    stop = asyncio.Event()
    job = job_of(ScriptedSource({"p": [row("a"), row("b")]}), retention=RAW)
    before = await everything(connection)
    watcher = await connect(database, application_name="kasparro:watcher")
    async with connection.transaction(), asyncio.timeout(30):
        await connection.execute(
            "lock table kept_payloads in access share mode; lock raw_csv_data in access share mode"
        )
        scheduler = Scheduler([Scheduled(job, every(timedelta(days=1)))], Conditions(database, stop=stop))
        working = asyncio.create_task(scheduler.run())
        while not await watcher.fetchval(LOCK_WAITERS):
            pass
        stop.set()
        await working
    await watcher.close()
    assert (await everything(connection))["kept_payloads"] == before["kept_payloads"] == []
    assert "dropped" in fates(await apply(database, AGES, NOW)).values()


async def test_open_reject_is_requeued_from_the_payload_that_was_kept(
    database: ConnectionOptions, connection: Connection
) -> None:
    await load_months(database, connection)
    await apply(database, AGES, NOW)
    lenient = Transformer(lambda payload: {"record_key": key_of(payload), "title": payload["title"]}, key_of)
    job = job_of(ScriptedSource({"p": []}), mapping="2", transformer=lenient)
    wanted = RejectFilter()
    outcome = await run_source(
        requeue_job(job, wanted, database), requeue_request(wanted, Request()), Conditions(database)
    )
    assert outcome.row is not None, outcome.error
    assert (outcome.row["fetched"], outcome.row["inserted"]) == (1, 1)
    assert await connection.fetchval("select count(*) from rejected_records where state = 'open'") == 0


async def test_one_process_at_a_time(database: ConnectionOptions, connection: Connection) -> None:
    await retention_lock.take(connection)
    with pytest.raises(RunConflictError):
        await apply(database, AGES, NOW)


async def test_clock_that_is_ahead_drops_nothing_too_soon(database: ConnectionOptions, connection: Connection) -> None:
    await load(database, [row("a")])
    before = await everything(connection)
    await apply(database, AGES, NOW + timedelta(days=2000))
    assert await everything(connection) == before


async def test_batches_of_old_runs_become_one_row_of_sums(database: ConnectionOptions, connection: Connection) -> None:
    for title in ("x", "y", "z"):
        await load(database, [row(f"k{n}", title) for n in range(10)])
    await connection.execute("update etl_runs set finished_at = finished_at - interval '300 days'")
    sums = (
        "select run_id, sum(fetched), sum(inserted), sum(updated), sum(size_bytes), sum(raw_written), count(*) "
        "from etl_run_batches group by 1 order by 1"
    )
    before = [tuple(found) for found in await connection.fetch(sums)]
    ages = {"scripted": Retention.model_validate({"runs": "180d"})}
    planned = await plan(database, ages, NOW)
    done = await apply(database, ages, NOW)
    assert planned.sources[0].thinned == done.sources[0].thinned
    assert (done.sources[0].thinned.runs, done.sources[0].thinned.batches) == (2, 8)
    after = [tuple(found) for found in await connection.fetch(sums)]
    assert [found[:-1] for found in after] == [found[:-1] for found in before]
    assert [found[-1] for found in after] == [1, 1, 4]
    folded = await connection.fetchrow("select * from etl_run_batches where lane < 0 order by run_id limit 1")
    assert folded is not None
    assert (folded["lane"], folded["seen"], folded["ordinal"], folded["partition"]) == (-1, None, 10, "p")
    assert '"store"' in folded["stage_seconds"]
    assert (await apply(database, ages, NOW)).sources[0].thinned.runs == 0


async def test_batches_of_a_pass_that_is_open_stay(database: ConnectionOptions, connection: Connection) -> None:
    def fail(_partition: str, position: int) -> None:
        if position == 3:
            raise RuntimeError("here")

    source = ScriptedSource({"p": [row(f"k{n}") for n in range(10)]}, before=fail)
    assert (await run_source(job_of(source), Request(), Conditions(database))).state == "failed"
    await connection.execute("update etl_runs set finished_at = finished_at - interval '300 days'")
    before = await everything(connection)
    report = await apply(database, {"scripted": Retention.model_validate({"runs": "180d"})}, NOW)
    assert report.sources[0].thinned.runs == 0
    assert await everything(connection) == before
