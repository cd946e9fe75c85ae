"""Raw rows by their ids, from the raw table of a source's type or, where retention dropped its partition, from
`kept_payloads`. A row stands in one of the two.

The raw tables are partitioned by `fetched_at`, which an id does not tell: each partition's primary key, which begins
with the id, is asked, and kept payloads last: 20,000 ids over twelve months took 0.6 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from kasparro.core.database import Connection
from kasparro.services.loading import raw_table

_COLUMNS: Final = "id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id, fetched_at"
_RAW_ROW: Final = f"""(
    select {_COLUMNS} from {{raw}} where id = {{id}}
    union all select {_COLUMNS} from kept_payloads where id = {{id}}
    limit 1)"""  # noqa: S608
_ANY_ROW: Final = f"""(
    select {_COLUMNS} from raw_api_data where id = {{id}}
    union all select {_COLUMNS} from raw_csv_data where id = {{id}}
    union all select {_COLUMNS} from raw_rss_data where id = {{id}}
    union all select {_COLUMNS} from kept_payloads where id = {{id}}
    limit 1)"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class RawRow:
    """A payload as it came, as JSON text, and of where it came from."""

    id: int
    source_id: int
    record_key: str | None
    payload: str
    content_hash: bytes
    locator: str
    prev_raw_id: int | None
    fetched_at: datetime
    run_id: int


def row_of(source_type: str, raw_id: LiteralString) -> LiteralString:
    """A query for the one raw row, or none, of a source of this type; `raw_id` is an SQL expression for its id.

    Has all columns of the raw tables. For joins: `cross join lateral {row_of("csv", "u.raw_id")} r`, which looks each
    row up by index, or `left join lateral .. on true` to see the ids whose payloads are there no more.
    """
    return _RAW_ROW.replace("{raw}", raw_table(source_type)).replace("{id}", raw_id)


def row_of_any(raw_id: LiteralString) -> LiteralString:
    """The same for an id alone, of whatever source."""
    return _ANY_ROW.replace("{id}", raw_id)


_FIND: Final = {
    name: f"""
select r.*
from (select distinct id from unnest($1::bigint[]) given(id) order by id) wanted
     cross join lateral {row_of(name, "wanted.id")} r
"""  # noqa: S608
    for name in ("api", "csv", "rss")
}


async def payloads(connection: Connection, source_type: str, raw_ids: Sequence[int]) -> dict[int, RawRow]:
    """The raw rows of these ids, by id; those that are there no more are left out."""
    rows = await connection.fetch(_FIND[source_type], raw_ids)
    return {row["id"]: RawRow(**dict(row)) for row in rows}
