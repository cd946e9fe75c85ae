"""Raw rows stand in the partition of their month, made ahead; the default partition catches what has none."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import raw_partitions
from kasparro.services.raw_partitions import month_after, month_of
from tests.fix_database import LOCK_WAITERS
from tests.scripted import ScriptedSource, job_of, row

MARCH = datetime(2031, 3, 15, 12, tzinfo=UTC)
TYPES = ("api", "csv", "rss")


async def ensure(connection: Connection, at: datetime) -> list[str]:
    async with connection.transaction():
        return await raw_partitions.ensure(connection, at)


async def insert_raw(connection: Connection, at: datetime, table: str = "raw_csv_data") -> str:
    """A raw row fetched at this time; the name of the partition that it went to."""
    await connection.execute(
        "insert into sources (name, type, identity, config_hash) values ('s', 'csv', '{}', '') on conflict do nothing"
    )
    return await connection.fetchval(
        f"insert into {table} (id, source_id, run_id, payload, content_hash, locator, fetched_at) "
        "select nextval('raw_id_seq'), id, 1, '{}', '\\x00', 'x', $1::timestamptz from sources "
        "returning tableoid::regclass::text",
        at,
    )  # fmt: skip


async def test_this_months_and_next_months_partitions_are_made_for_every_raw_table(connection: Connection) -> None:
    assert await ensure(connection, MARCH) == [
        f"raw_{type_}_data_y2031m{month}" for type_ in TYPES for month in ("03", "04")
    ]
    assert await ensure(connection, MARCH) == []
    assert await ensure(connection, MARCH + timedelta(days=30)) == [f"raw_{type_}_data_y2031m05" for type_ in TYPES]


@pytest.mark.parametrize(
    ("at", "partition"),
    [
        (datetime(2031, 3, 1, tzinfo=UTC), "raw_csv_data_y2031m03"),
        (datetime(2031, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC), "raw_csv_data_y2031m03"),
        (datetime(2031, 4, 1, tzinfo=UTC), "raw_csv_data_y2031m04"),
        (datetime(2031, 4, 1, 1, tzinfo=timezone(timedelta(hours=2))), "raw_csv_data_y2031m03"),
        (datetime(2031, 5, 1, tzinfo=UTC), "raw_csv_data_default"),
        (datetime(2031, 2, 28, 23, tzinfo=UTC), "raw_csv_data_default"),
    ],
)
async def test_row_goes_to_the_partition_of_its_month_in_utc(
    connection: Connection, at: datetime, partition: str
) -> None:
    await ensure(connection, MARCH)
    assert await insert_raw(connection, at) == partition


async def test_bounds_are_utc_whatever_the_sessions_zone(connection: Connection) -> None:
    await connection.execute("set timezone = 'Asia/Kolkata'")
    await ensure(connection, MARCH)
    assert await insert_raw(connection, datetime(2031, 2, 28, 20, tzinfo=UTC)) == "raw_csv_data_default"
    assert await insert_raw(connection, datetime(2031, 3, 31, 20, tzinfo=UTC)) == "raw_csv_data_y2031m03"


async def test_month_whose_rows_were_caught_by_the_default_partition_is_left_there(connection: Connection) -> None:
    assert await insert_raw(connection, MARCH) == "raw_csv_data_default"
    made = await ensure(connection, MARCH)
    assert "raw_csv_data_y2031m03" not in made
    assert {"raw_csv_data_y2031m04", "raw_api_data_y2031m03", "raw_rss_data_y2031m03"} <= set(made)
    assert await ensure(connection, MARCH) == []
    assert await insert_raw(connection, MARCH) == "raw_csv_data_default"
    assert await connection.fetchval("select count(*) from raw_csv_data") == 2


async def test_run_loads_into_the_default_partition_where_its_month_was_caught(
    database: ConnectionOptions, connection: Connection
) -> None:
    assert await insert_raw(connection, datetime.now(UTC)) == "raw_csv_data_default"
    outcome = await run_source(job_of(ScriptedSource({"p": [row("a"), row("b")]})), Request(), Conditions(database))
    assert outcome.state == "succeeded", outcome.error
    assert await connection.fetchval("select count(*) from raw_csv_data_default") == 3


async def test_run_makes_the_partition_that_it_writes_to(database: ConnectionOptions, connection: Connection) -> None:
    await run_source(job_of(ScriptedSource({"p": [row("a"), row("b")]})), Request(), Conditions(database))
    rows = await connection.fetch("select fetched_at, tableoid::regclass::text as partition from raw_csv_data")
    assert {item["partition"] for item in rows} == {f"raw_csv_data_y{rows[0]['fetched_at']:%Ym%m}"}
    following = month_after(month_of(rows[0]["fetched_at"]))
    assert await connection.fetchval("select to_regclass($1) is not null", f"raw_csv_data_y{following:%Ym%m}")


async def test_partitions_have_the_storage_parameters_of_the_default_one(connection: Connection) -> None:
    """Which are the migrations': a partitioned table has none to hand down."""
    made = await ensure(connection, MARCH)
    rows = await connection.fetch("select relname, reloptions from pg_class where relname ~ '^raw_.*_data_[a-z0-9]+$'")
    parameters = {row["relname"]: row["reloptions"] for row in rows if "pkey" not in row["relname"]}
    assert set(parameters) == {*made, *(f"raw_{type_}_data_default" for type_ in TYPES)}
    assert {tuple(sorted(each)) for each in parameters.values()} == {
        ("autovacuum_analyze_scale_factor=1", "autovacuum_freeze_min_age=0")
    }


@pytest.mark.parametrize("months", [1, 2])
async def test_run_that_goes_on_into_another_month_loses_nothing(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch, months: int
) -> None:
    """It began `months` ago and made the next month's partition; beyond that, the default partition is the net."""
    began = datetime.now(UTC)
    for _ in range(months):
        began = month_of(began) - timedelta(seconds=1)
    made: list[str] = []

    async def ensured(connection: Connection, _at: datetime) -> list[str]:
        made.extend(await ensure_partitions(connection, began))
        return made

    ensure_partitions = raw_partitions.ensure
    monkeypatch.setattr(raw_partitions, "ensure", ensured)
    outcome = await run_source(job_of(ScriptedSource({"p": [row("a"), row("b")]})), Request(), Conditions(database))
    assert outcome.state == "succeeded", outcome.error
    found = await connection.fetch("select fetched_at, tableoid::regclass::text as partition from raw_csv_data")
    month = f"raw_csv_data_y{found[0]['fetched_at']:%Ym%m}"
    assert (month in made) == (months == 1)
    assert [item["partition"] for item in found] == 2 * [month if months == 1 else "raw_csv_data_default"]


async def test_year_changes_after_december(connection: Connection) -> None:
    december = datetime(2031, 12, 31, 23, 59, tzinfo=UTC)
    made = await ensure(connection, december)
    assert [name for name in made if "csv" in name] == ["raw_csv_data_y2031m12", "raw_csv_data_y2032m01"]
    assert await insert_raw(connection, datetime(2032, 1, 31, tzinfo=UTC)) == "raw_csv_data_y2032m01"
    assert await insert_raw(connection, datetime(2032, 2, 1, tzinfo=UTC)) == "raw_csv_data_default"


def test_months_begin_in_utc() -> None:
    behind = timezone(timedelta(hours=-5))
    assert month_of(datetime(2031, 12, 31, 20, tzinfo=behind)) == datetime(2032, 1, 1, tzinfo=UTC)
    assert month_after(datetime(2031, 12, 1, tzinfo=UTC)) == datetime(2032, 1, 1, tzinfo=UTC)
    assert month_after(datetime(2031, 1, 1, tzinfo=UTC)) == datetime(2031, 2, 1, tzinfo=UTC)


async def test_two_at_once_make_each_partition_once(database: ConnectionOptions, connection: Connection) -> None:
    """The second maker waits for the first one's transaction, and then finds everything made."""
    other = await connect(database, application_name="kasparro:other")
    first = connection.transaction()
    await first.start()
    made = await raw_partitions.ensure(connection, MARCH)
    waiting = asyncio.create_task(ensure(other, MARCH))
    watcher = await connect(database, application_name="kasparro:watcher")
    while not await watcher.fetchval(LOCK_WAITERS):
        pass
    await first.commit()
    assert (len(made), await waiting) == (6, [])
    await watcher.close()
    await other.close()
