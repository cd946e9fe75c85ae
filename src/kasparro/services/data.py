"""Questions about unified records. PostgreSQL writes each record's JSON, so rows never become Python objects."""

from dataclasses import dataclass
from typing import Final

from kasparro.core.database import Connection

_UTC_TIME: Final = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_RECORD: Final = f"""
    select u.id, s.name as source, s.type as source_type, u.record_key, u.title, u.body, u.url, u.author, u.category,
           coalesce(u.tags, '{{}}') as tags,
           trim_scale(u.value)::text as value,
           u.unit,
           to_char(u.occurred_at at time zone 'utc', {_UTC_TIME}) as occurred_at,
           u.entity_key,
           coalesce(u.attributes, '{{}}') as attributes,
           u.raw_id, u.run_id,
           to_char(u.first_seen_at at time zone 'utc', {_UTC_TIME}) as first_seen_at,
           to_char(u.last_changed_at at time zone 'utc', {_UTC_TIME}) as last_changed_at
"""
"""SQL text is constant here: no value ever enters it."""
_PAGE_ALL: Final = f"""
    select row_to_json(record)::text from (
        {_RECORD}
        from (select * from unified_data where deleted_at is null order by id limit $1 offset $2) u
        join sources s on s.id = u.source_id
        order by u.id
    ) record
"""  # noqa: S608
_PAGE_OF_SOURCES: Final = f"""
    select row_to_json(record)::text from (
        {_RECORD}
        from (
            select * from unified_data where deleted_at is null and source_id = any($3) order by id limit $1 offset $2
        ) u
        join sources s on s.id = u.source_id
        order by u.id
    ) record
"""  # noqa: S608
_SOURCE_IDS: Final = "select id from sources where name = $1 or type = $1 order by id"
_SOURCE_NAMES: Final = "select name from sources order by name"


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Live records as JSON texts in the order of their ids, and whether more follow."""

    records: list[str]
    has_more: bool


async def read_page(
    connection: Connection, *, limit: int, offset: int, source_ids: list[int] | None = None
) -> RecordPage:
    """Live records of all sources, or of those named by id."""
    if source_ids is None:
        rows = await connection.fetch(_PAGE_ALL, limit + 1, offset)
    else:
        rows = await connection.fetch(_PAGE_OF_SOURCES, limit + 1, offset, source_ids)
    return RecordPage([row[0] for row in rows[:limit]], has_more=len(rows) > limit)


async def find_source_ids(connection: Connection, name_or_type: str) -> list[int]:
    """Ids of the source of that name and of all sources of that type."""
    return [row[0] for row in await connection.fetch(_SOURCE_IDS, name_or_type)]


async def source_names(connection: Connection) -> list[str]:
    """Names of all sources that are known to the database."""
    return [row[0] for row in await connection.fetch(_SOURCE_NAMES)]
