"""Keys that came twice within one pass with different content: not unique, or changed while they were read."""

from dataclasses import dataclass
from typing import Final

from kasparro.core.database import Connection
from kasparro.services.loading import raw_table
from kasparro.services.raw_rows import row_of

_COUNT = "select coalesce(sum(duplicate_payload), 0)::bigint from etl_run_batches where run_id = $1::bigint"
_EXAMPLES: Final = """
select r.record_key, p.locator as earlier, r.locator as later
from {raw} r
cross join lateral {earlier} p
join etl_runs e on e.id = p.run_id and e.pass_id = (select pass_id from etl_runs where id = $1::bigint)
where r.run_id = $1::bigint and r.id > coalesce(
    (select (plan ->> 'after_raw_id')::bigint from etl_runs where id = $1::bigint), 0)
order by r.id limit $2::integer
"""
_STATEMENTS: Final = {
    name: _EXAMPLES.replace("{raw}", raw_table(name)).replace("{earlier}", row_of(name, "r.prev_raw_id"))
    for name in ("api", "csv", "rss")
}
_LAST_RAW_ID = "select case when is_called then last_value else 0 end from raw_id_seq"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A key, and where it came from the first and the second time."""

    record_key: str
    earlier: str
    later: str


async def last_raw_id(connection: Connection) -> int:
    """The last number that a raw row was given."""
    return int(await connection.fetchval(_LAST_RAW_ID))


async def count(connection: Connection, run_id: int) -> int:
    """How many records of the run had the key of an earlier one of their pass, and other content."""
    return int(await connection.fetchval(_COUNT, run_id))


async def examples(connection: Connection, run_id: int, source_type: str, *, most: int) -> list[Repeat]:
    """The first ones of them."""
    rows = await connection.fetch(_STATEMENTS[source_type], run_id, most)
    return [Repeat(row["record_key"], row["earlier"], row["later"]) for row in rows]
