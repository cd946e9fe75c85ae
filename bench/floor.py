"""The floor: binary COPY of finished rows into tables like ours, by one connection.

The rows are those that kasparro itself has stored, exported once, so that nothing is left to do but to store them: the
same bytes, the same indexes, the same partition. A transaction stores 20,000 rows of each table, and its commit is
asynchronous, as those of kasparro's lanes are: 3 to 5 % faster than one COPY of everything in one transaction.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.connections import LANE_SETTINGS

_TABLES: Final = {"floor_unified": "unified_data", "floor_raw": "raw_csv_data"}
_UNUSED: Final = ("version", "deleted_at")
"""Columns that no load fills: as kasparro does, the floor does not send them."""
EMPTY: Final = "truncate floor_unified, floor_raw"
BATCH_ROWS: Final = 20_000
_COLUMNS = """
select array_agg(attname::text order by attnum) from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attname <> all($2::text[])
"""
_STARTS = """
select id from (select id, row_number() over (order by id) as number from {table}) numbered
where (number - 1) % $1 = 0 order by id
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


@dataclass
class Exported:
    """The finished rows: files of binary COPY for each table of the floor, by batch, and how many rows there are."""

    batches: dict[int, dict[str, Path]]
    rows: int


async def export(connection: Connection, folder: Path) -> Exported:
    """Write what our tables hold to files, in the order of their ids."""
    found = Exported({}, 0)
    for floor, ours in _TABLES.items():
        columns = ", ".join(await _columns(connection, ours))
        starts = [row["id"] for row in await connection.fetch(_STARTS.replace("{table}", ours), BATCH_ROWS)]
        for number, (start, end) in enumerate(pairwise([*starts, 2**63 - 1])):
            query = f"select {columns} from {ours} where id >= {start} and id < {end} order by id"
            file = folder / f"{floor}.{number:06d}"
            found.rows += _affected(await connection.copy_from_query(query, output=file, format="binary"))
            found.batches.setdefault(number, {})[floor] = file
    return found


async def load(options: ConnectionOptions, exported: Exported) -> int:
    """Store all that was exported; how many rows the server took."""
    connection = await connect(options, application_name="kasparro:bench", server_settings=LANE_SETTINGS)
    columns = {floor: await _columns(connection, ours) for floor, ours in _TABLES.items()}
    rows = 0
    try:
        for batch in exported.batches.values():
            async with connection.transaction():
                for floor, file in batch.items():
                    status = await connection.copy_to_table(floor, source=file, columns=columns[floor], format="binary")
                    rows += _affected(status)
    finally:
        await connection.close()
    return rows


async def _columns(connection: Connection, table: str) -> list[str]:
    return list(await connection.fetchval(_COLUMNS, table, list(_UNUSED)))


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])
