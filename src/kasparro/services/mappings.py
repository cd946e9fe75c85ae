"""Which mappings a source's live records were made by.

No index tells it, and none is kept for it alone. Few records are counted. Of many, blocks of the table are counted that
are drawn at random: as many for any number of records, so that nobody waits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from kasparro.core.database import Connection
from kasparro.services import runs

Kind = Literal["exact", "estimated"]
FEW_RECORDS: Final = 20_000
FEW_BLOCKS: Final = 4_000
"""32 MB; a larger table is drawn from."""
_FEW: Final = """
select mapping_version as id, count(*) as records
from (select mapping_version, deleted_at from unified_data where source_id = $1::integer
      order by record_key limit $2::integer + 1) first_rows
where deleted_at is null group by mapping_version
"""
_IS_FEW: Final = """
select count(*) <= $2::integer
from (select from unified_data where source_id = $1::integer order by record_key limit $2::integer + 1) first_rows
"""
"""By key there is an index: the planner would else believe that a source's rows are spread over the whole table."""
_BLOCKS: Final = "select pg_relation_size('unified_data') / current_setting('block_size')::bigint"
_ALL: Final = """
select mapping_version as id, count(*) as records
from unified_data where source_id = $1::integer and deleted_at is null group by mapping_version
"""
_DRAWN: Final = """
select mapping_version as id, round(count(*) * 100 / $2::double precision)::bigint as records
from unified_data tablesample system ($2::double precision)
where source_id = $1::integer and deleted_at is null group by mapping_version
"""
_KNOWN: Final = """
select id, hash, created_at from mapping_versions
where id in (select mapping_version from etl_runs where source_id = $1::integer) or id = any($2::integer[])
order by id
"""


@dataclass(frozen=True, slots=True)
class LiveMapping:
    """A mapping, and how many live records it has made; an estimate of 0 may be a few."""

    id: int
    hash: str
    created_at: datetime
    is_current: bool
    records: int
    records_kind: Kind


async def live(connection: Connection, source_id: int) -> list[LiveMapping]:
    """The mappings of a source that have live records, or may have, and the one by which it was read last."""
    counted, kind = await _counted(connection, source_id)
    current = await runs.last_mapping_version(connection, source_id)
    rows = await connection.fetch(_KNOWN, source_id, list(counted))
    found = [
        LiveMapping(row["id"], row["hash"], row["created_at"], row["id"] == current, counted.get(row["id"], 0), kind)
        for row in rows
    ]
    return [each for each in found if each.records or each.is_current or each.records_kind == "estimated"]


async def _counted(connection: Connection, source_id: int) -> tuple[dict[int, int], Kind]:
    """Live records by mapping."""
    if await connection.fetchval(_IS_FEW, source_id, FEW_RECORDS):
        return _by_id(await connection.fetch(_FEW, source_id, FEW_RECORDS)), "exact"
    blocks = int(await connection.fetchval(_BLOCKS))
    if blocks <= FEW_BLOCKS:
        return _by_id(await connection.fetch(_ALL, source_id)), "exact"
    return _by_id(await connection.fetch(_DRAWN, source_id, 100 * FEW_BLOCKS / blocks)), "estimated"


def _by_id(rows: list[Any]) -> dict[int, int]:
    return {row["id"]: row["records"] for row in rows}
