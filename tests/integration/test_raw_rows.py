"""Raw rows are found by their ids wherever they stand: in a month's partition, the default one, or among those kept."""

import json
from datetime import UTC, datetime

from kasparro.core.database import Connection
from kasparro.services import raw_partitions, raw_rows

MARCH = datetime(2031, 3, 15, 12, tzinfo=UTC)
JULY = datetime(2031, 7, 15, 12, tzinfo=UTC)


async def insert(connection: Connection, table: str, raw_id: int, at: datetime) -> None:
    await connection.execute(
        f"insert into {table} (id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id,"
        " fetched_at) values ($1::bigint, 1, 2, 'k', jsonb_build_object('n', $1::bigint), '\\x00', 'here', 5, $2)",
        raw_id,
        at,
    )


async def test_rows_are_found_in_partitions_the_default_and_among_those_kept(connection: Connection) -> None:
    async with connection.transaction():
        await raw_partitions.ensure(connection, MARCH)
    await insert(connection, "raw_csv_data", 1, MARCH)
    await insert(connection, "raw_csv_data", 2, JULY)
    await insert(connection, "kept_payloads", 3, MARCH)
    await insert(connection, "raw_api_data", 4, MARCH)
    found = await raw_rows.payloads(connection, "csv", [3, 1, 2, 2, 4, 99])
    assert {raw_id: json.loads(row.payload) for raw_id, row in found.items()} == {n: {"n": n} for n in (1, 2, 3)}
    assert found[3] == raw_rows.RawRow(3, 1, "k", '{"n": 3}', b"\0", "here", 5, MARCH, 2)


async def test_row_of_any_source_is_joined_by_its_id(connection: Connection) -> None:
    await insert(connection, "raw_rss_data", 1, MARCH)
    await insert(connection, "kept_payloads", 2, MARCH)
    rows = await connection.fetch(
        "select wanted.id, r.locator from unnest('{1,2,3}'::bigint[]) wanted(id) "
        f"left join lateral {raw_rows.row_of_any('wanted.id')} r on true order by wanted.id"
    )
    assert [tuple(row) for row in rows] == [(1, "here"), (2, "here"), (3, None)]
