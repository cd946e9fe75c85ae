"""Unified records by their keys."""

from collections.abc import Sequence

from kasparro.core.database import Connection

_IDS = """
select coalesce(array_agg(u.id), '{}')
from unnest($2::text[]) as named(record_key) cross join lateral (
    select id from unified_data where source_id = $1::integer and record_key = named.record_key limit 1) u
"""


async def ids_of(connection: Connection, source_id: int, keys: Sequence[str]) -> list[int]:
    """Ids of the unified rows that have these keys, in no order; deleted ones included."""
    ids: list[int] = await connection.fetchval(_IDS, source_id, keys)
    return ids
