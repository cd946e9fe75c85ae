"""Unified records by their keys."""

from collections.abc import Sequence

from kasparro.core.database import Connection

_IDS = """
select coalesce(array_agg(u.id), '{}')
from unnest($2::text[]) as named(record_key) join unified_data u on u.source_id = $1::integer
     and u.record_key = named.record_key
"""


async def ids_of(connection: Connection, source_id: int, keys: Sequence[str]) -> list[int]:
    """Ids of the unified rows that have these keys, in no order; deleted ones included."""
    ids: list[int] = await connection.fetchval(_IDS, source_id, keys)
    return ids
