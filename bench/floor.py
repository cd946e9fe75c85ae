"""The floor: binary COPY of finished rows into tables like ours, by one connection.

The rows are those that kasparro itself has stored, exported once, so that nothing is left to do but to store them: the
same bytes, the same indexes, the same partition. One transaction holds one COPY for each table; the commits are
asynchronous, as those of kasparro's lanes are.
"""

from pathlib import Path
from typing import Final

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.connections import LANE_SETTINGS

_TABLES: Final = {"floor_unified": "unified_data", "floor_raw": "raw_csv_data"}
_UNUSED: Final = ("version", "deleted_at")
"""Columns that no load fills: as kasparro does, the floor does not send them."""
EMPTY: Final = "truncate floor_unified, floor_raw"
_COLUMNS = """
select array_agg(attname::text order by attnum) from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attname <> all($2::text[])
"""
_PARTITIONS = """
select relname, pg_get_expr(relpartbound, oid) as bound, array_to_string(reloptions, ', ') as settings
from pg_class join pg_inherits on inhrelid = oid where inhparent = 'raw_csv_data'::regclass
"""


async def make_tables(connection: Connection) -> None:
    """Empty tables with the definitions, indexes, partitions and storage settings of ours."""
    await connection.execute("drop table if exists floor_unified, floor_raw")
    await connection.execute("create table floor_unified (like unified_data including all)")
    settings = await connection.fetchval(
        "select array_to_string(reloptions, ', ') from pg_class where oid = 'unified_data'::regclass"
    )
    if settings:
        await connection.execute(f"alter table floor_unified set ({settings})")
    await connection.execute("create table floor_raw (like raw_csv_data including all) partition by range (fetched_at)")
    for row in await connection.fetch(_PARTITIONS):
        name = f"floor_{row['relname']}"
        await connection.execute(f"create table {name} partition of floor_raw {row['bound']}")
        if row["settings"]:
            await connection.execute(f"alter table {name} set ({row['settings']})")


async def export(connection: Connection, folder: Path) -> dict[str, int]:
    """Write what our tables hold to files, in the order of their ids; how many rows each has."""
    rows: dict[str, int] = {}
    for floor, ours in _TABLES.items():
        columns = ", ".join(await _columns(connection, ours))
        query = f"select {columns} from {ours} order by id"
        status = await connection.copy_from_query(query, output=folder / floor, format="binary")
        rows[floor] = _affected(status)
    return rows


async def load(options: ConnectionOptions, folder: Path) -> dict[str, int]:
    """COPY both files; how many rows the server took for each."""
    connection = await connect(options, application_name="kasparro:bench", server_settings=LANE_SETTINGS)
    rows: dict[str, int] = {}
    try:
        async with connection.transaction():
            for floor, ours in _TABLES.items():
                columns = await _columns(connection, ours)
                status = await connection.copy_to_table(floor, source=folder / floor, columns=columns, format="binary")
                rows[floor] = _affected(status)
    finally:
        await connection.close()
    return rows


async def _columns(connection: Connection, table: str) -> list[str]:
    return list(await connection.fetchval(_COLUMNS, table, list(_UNUSED)))


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
