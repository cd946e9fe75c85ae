"""Retention over six months of 50,000 payloads each: all records can be read, traced and replayed afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, create_pool
from kasparro.ingestion.operations.retention import apply, plan
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import Retention
from kasparro.services import raw_partitions, raw_rows
from kasparro.services.raw_partitions import month_of
from tests.replays import Items

pytestmark = pytest.mark.long
MONTHS, ROWS, NEW = 6, 50_000, 10_000
AGES = {"items": Retention.model_validate({"raw": "90d", "runs": "90d"})}


def rows_of(number: int) -> list[str]:
    """Of a month: the oldest 10,000 keys of the month before are left out, and as many new ones come."""
    return [f"i{n},item {n} of {number},{n}.5{number},x,{n}" for n in range(number * NEW, number * NEW + ROWS)]


async def fill(items: Items, months: list[datetime]) -> None:
    for number, month in enumerate(months):
        items.write(rows_of(number))
        await items.load()
        async with items.connection.transaction():
            await raw_partitions.ensure(items.connection, month)
        for change in ("raw_csv_data set fetched_at", "etl_runs set finished_at"):
            column = change.rpartition(" ")[2]
            await items.connection.execute(
                f"update {change} = $1::timestamptz + interval '9 days' where {column} > $2::timestamptz",
                month,
                months[-1] + timedelta(days=31),
            )


async def test_six_months_of_payloads_are_dropped_and_every_record_is_traced(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    now = datetime.now(UTC)
    months = [month_of(now - timedelta(days=31))]
    while len(months) < MONTHS:
        months.insert(0, month_of(months[0] - timedelta(days=1)))
    old = [month for month in months if raw_partitions.month_after(month) <= now - timedelta(days=90)]
    items = Items(tmp_path, database, connection, limits=BatchLimits(records=10_000))
    await fill(items, months)
    digest = await items.digest()

    started = perf_counter()
    planned = await plan(database, AGES, now)
    seconds = [perf_counter() - started]
    report = await apply(database, AGES, now)
    seconds.append(perf_counter() - started - seconds[0])
    dropped = [item for item in report.months if item.fate == "dropped" and item.rows]
    assert [(item.month.month, item.rows, item.kept) for item in dropped] == [(month, ROWS, NEW) for month in old]
    assert planned.size_bytes == report.size_bytes
    assert report.sources[0].thinned.runs >= len(old)
    left = await connection.fetchval("select count(*) from raw_csv_data")
    assert (left, await connection.fetchval("select count(*) from kept_payloads")) == (
        (MONTHS - len(old)) * ROWS,
        len(old) * NEW,
    )
    started = perf_counter()
    ids = [
        row["raw_id"] for row in await connection.fetch("select raw_id from unified_data order by raw_id limit 20000")
    ]
    assert len(await raw_rows.payloads(connection, "csv", ids)) == len(ids)
    seconds.append(perf_counter() - started)
    print(f"plan {seconds[0]:.1f} s, apply {seconds[1]:.1f} s, 20,000 payloads by id {seconds[2]:.2f} s")
    everywhere = await connection.fetchval(
        f"select count(*) from unified_data u cross join lateral {raw_rows.row_of('csv', 'u.raw_id')} r"
    )
    assert everywhere == ROWS + (MONTHS - 1) * NEW

    await _traced(
        database, connection, kept=[0, NEW * len(old) - 1], cut=[ROWS + 5], whole=[ROWS + NEW * (MONTHS - 1) - 1]
    )
    assert await items.digest() == digest
    items.settings = "map: {title: name, value: stock, category: kind}"
    outcome = await items.apply(await items.plan())
    assert outcome.row is not None, outcome.error
    assert outcome.row["updated"] == ROWS + (MONTHS - 1) * NEW
    values = await connection.fetchrow(
        "select count(*) filter (where value = substr(record_key, 2)::numeric) as good, count(*) from unified_data"
    )
    assert values is not None
    assert values["good"] == values["count"]


async def _traced(
    database: ConnectionOptions, connection: Connection, *, kept: list[int], cut: list[int], whole: list[int]
) -> None:
    """Ask for the lineage of some records, by their numbers: how their histories end."""
    pool = await create_pool(database, application_name="kasparro:test-api", max_size=2)
    transport = httpx.ASGITransport(create_app(pool), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
        for numbers, end, is_kept in ((kept, None, True), (cut, "dropped", False), (whole, "complete", False)):
            for number in numbers:
                record = await connection.fetchval("select id from unified_data where record_key = $1", f"i{number}")
                data = (await client.get(f"/data/{record}/lineage")).json()["data"]
                assert data["payloads"][0]["payload"]["id"] == f"i{number}"
                assert data["payloads"][0]["kept"] is is_kept
                assert end in {None, data["history"]}
    await pool.close()
