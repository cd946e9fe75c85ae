"""Writing a staged batch: one statement each for new raw rows, new unified rows and changed unified rows."""

from datetime import datetime
from typing import Final, LiteralString

from kasparro.core.database import Connection
from kasparro.core.errors import ConservationError
from kasparro.schemas.batches import RunStamp
from kasparro.services.staging import Tally

_GREATEST_ID: Final = 2**63 - 1
_RAW_TABLES: dict[str, LiteralString] = {"api": "raw_api_data", "csv": "raw_csv_data", "rss": "raw_rss_data"}

_INSERT_RAW: LiteralString = """
insert into {raw_table} (id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id, fetched_at)
select v.raw_id, $1::integer, $2::bigint, s.record_key, s.payload, s.content_hash, s.locator, v.prev_raw_id,
       $3::timestamptz
from verdict v join stage s on s.ordinal = v.ordinal
where v.raw_id is not null
order by v.raw_id
"""

_INSERT_UNIFIED = """
with written as (
    insert into unified_data (
        source_id, record_key, title, body, url, author, category, tags, value, unit, occurred_at, entity_key,
        attributes, content_hash, record_hash, raw_id, run_id, pass_id, mapping_version, first_seen_at, last_changed_at)
    select $1::integer, s.record_key, s.title, s.body, s.url, s.author, s.category, s.tags, s.value::numeric, s.unit,
           s.occurred_at, s.entity_key, s.attributes, s.content_hash, s.record_hash, v.current_raw_id, $2::bigint,
           $3::bigint, $4::integer, $5::timestamptz, $5::timestamptz
    from verdict v join stage s on s.ordinal = v.ordinal
    where v.writes_unified and v.unified_id is null
    order by s.ordinal
    returning id
)
select coalesce(array_agg(id), '{}') from written
"""

_UPDATE_UNIFIED = """
update unified_data u
set title = s.title, body = s.body, url = s.url, author = s.author, category = s.category, tags = s.tags,
    value = s.value::numeric, unit = s.unit, occurred_at = s.occurred_at, entity_key = s.entity_key,
    attributes = s.attributes, content_hash = s.content_hash, record_hash = s.record_hash,
    raw_id = v.current_raw_id, run_id = $1::bigint, pass_id = $2::bigint, mapping_version = $3::integer,
    last_changed_at = case when v.known_record_hash is distinct from s.record_hash then $4::timestamptz
                           else u.last_changed_at end,
    deleted_at = null
from verdict v join stage s on s.ordinal = v.ordinal
where v.writes_unified and v.unified_id = u.id
"""


def raw_table(source_type: str) -> LiteralString:
    """Name of the table that holds the raw payloads of a source type."""
    return _RAW_TABLES[source_type]


async def write_raw(connection: Connection, stamp: RunStamp, fetched_at: datetime) -> int:
    """Insert the raw rows that the verdict asks for; returns how many were written."""
    statement = _INSERT_RAW.replace("{raw_table}", raw_table(stamp.source_type))
    return affected(await connection.execute(statement, stamp.source_id, stamp.run_id, fetched_at))


async def write_unified(connection: Connection, tally: Tally, stamp: RunStamp, at: datetime) -> list[int]:
    """Insert new and update changed unified rows, once a key, from its last staged row; returns the new ids.

    Raises ConservationError when a statement hits more or fewer rows than the verdict asked for.
    """
    written_by = (stamp.run_id, stamp.pass_id, stamp.mapping_version, at)
    new_ids: list[int] = []
    if tally.new_records:
        new_ids = await connection.fetchval(_INSERT_UNIFIED, stamp.source_id, *written_by)
        require_rows("insert into unified_data", len(new_ids), tally.new_records)
    if tally.changed_records:
        status = await connection.execute(_UPDATE_UNIFIED, *written_by)
        require_rows("update of unified_data", affected(status), tally.changed_records)
    return new_ids


def is_id(number: int) -> bool:
    """Whether a row could have this number: whether a bigint holds it."""
    return 0 <= number <= _GREATEST_ID


def affected(status: str) -> int:
    """The row count in a command tag such as `INSERT 0 5` or `UPDATE 3`."""
    return int(status.rpartition(" ")[2])


def require_rows(what: str, hit: int, expected: int) -> None:
    """Raise ConservationError unless a statement hit exactly the rows it was meant for."""
    if hit != expected:
        raise ConservationError(f"{what}: {hit} rows hit, {expected} expected")
