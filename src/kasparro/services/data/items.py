"""Reading one record, or one payload, by its id."""

from typing import Final

from kasparro.core.database import Connection
from kasparro.services.data.columns import UTC_TIME
from kasparro.services.data.written import WHOLE_RECORD
from kasparro.services.raw_rows import row_of_any

_RECORD: Final = f"""
    select {WHOLE_RECORD} from unified_data u join sources s on s.id = u.source_id
    where u.id = $1::bigint and u.deleted_at is null
"""  # noqa: S608
_PAYLOAD: Final = f"""
    select (select row_to_json(shown)::text from (
        select r.id, s.name as source, s.type as source_type, r.record_key, r.locator,
               to_char(r.fetched_at at time zone 'utc', {UTC_TIME}) as fetched_at, r.run_id, r.prev_raw_id, r.payload
        ) shown)
    from {row_of_any("$1::bigint")} r join sources s on s.id = r.source_id
"""  # noqa: S608


async def read_record(connection: Connection, record_id: int) -> str | None:
    """The JSON of a live record."""
    return await connection.fetchval(_RECORD, record_id)


async def read_raw(connection: Connection, raw_id: int) -> str | None:
    """The JSON of a payload as it came, and of where it came from."""
    return await connection.fetchval(_PAYLOAD, raw_id)
