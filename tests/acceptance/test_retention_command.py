"""`kasparro retention`: what it says, what it does, and how it exits."""

from datetime import UTC, datetime
from pathlib import Path

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import locked_source
from kasparro.services import raw_partitions
from tests.acceptance.test_run_command import MAP, Place

MAY = datetime(2019, 5, 5, tzinfo=UTC)


async def test_retention_says_what_it_would_do_and_does_it(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    place = Place(tmp_path, database)
    place.configure(items=f"path: items.csv, {MAP}")
    for price in ("1.50", "2.50"):
        place.write("items.csv", f"i1,one,{price}", "i2,two,2")
        assert (await place.kasparro("run")).exit_code == 0
    nothing = await place.kasparro("retention", "--apply")
    assert (nothing.exit_code, "kept for ever" in nothing.stdout) == (0, True)

    async with connection.transaction():
        await raw_partitions.ensure(connection, MAY)
    await connection.execute("update raw_csv_data set fetched_at = $1::timestamptz where run_id = 1", MAY)
    place.configure(items=f"path: items.csv, {MAP}, retention: {{raw: 90d, runs: 180d}}")
    planned = (await place.kasparro("retention", "--json")).document
    old = next(month for month in planned["months"] if month["rows"] and month["month"] == "2019-05")
    assert (planned["applied"], old["fate"], old["rows"], old["kept"]) == (False, "drop", 2, 1)
    assert old["sources"][0] | {"payload_bytes": 0} == {
        "source": "items", "rows": 2, "pointed_at": 1, "payload_bytes": 0,
    }  # fmt: skip

    async with locked_source(database, "items"):
        held = await place.kasparro("retention", "--apply")
    assert (held.exit_code, "left for the next time" in held.stdout) == (8, True)
    done = await place.kasparro("retention", "--apply")
    assert done.exit_code == 0
    assert "raw_csv_data_y2019m05" in done.stdout
    assert "freed about" in done.stdout
    assert await connection.fetchval("select count(*) from kept_payloads") == 1
