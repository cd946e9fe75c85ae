"""Writing what a verdict asks for: COPY for new raw and unified rows, one update for changed ones."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final, LiteralString

from kasparro.core.database import Connection
from kasparro.core.errors import ConservationError
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services.row_format import CHANGED_COLUMNS, NEW_COLUMNS, RAW_COLUMNS, changed_rows, new_rows, raw_rows
from kasparro.services.verdict import Verdict

_GREATEST_ID: Final = 2**63 - 1
_PIECE_BYTES: Final = 128 * 1024
_RAW_TABLES: dict[str, LiteralString] = {"api": "raw_api_data", "csv": "raw_csv_data", "rss": "raw_rss_data"}

_CREATE_CHANGES = """
create temporary table if not exists changes (
    id bigint not null, title text, body text, url text, author text, category text, tags text[], value numeric,
    unit text, occurred_at timestamptz, entity_key text, attributes jsonb, content_hash bytea not null,
    record_hash bytea not null, version text, raw_id bigint not null
) on commit delete rows
"""
_UPDATE_UNIFIED = """
update unified_data u
set title = c.title, body = c.body, url = c.url, author = c.author, category = c.category, tags = c.tags,
    value = c.value, unit = c.unit, occurred_at = c.occurred_at, entity_key = c.entity_key, attributes = c.attributes,
    content_hash = c.content_hash, record_hash = c.record_hash, version = c.version, raw_id = c.raw_id,
    run_id = $1::bigint, pass_id = coalesce($2::bigint, u.pass_id), mapping_version = $3::integer,
    last_changed_at = case when u.deleted_at is null and u.record_hash = c.record_hash then u.last_changed_at
                           else $4::timestamptz end,
    deleted_at = null, deletion = null
from changes c
where u.id = c.id
"""


def raw_table(source_type: str) -> LiteralString:
    """Name of the table that holds the raw payloads of a source type."""
    return _RAW_TABLES[source_type]


async def write(connection: Connection, batch: LaneBatch, verdict: Verdict, stamp: RunStamp, at: datetime) -> int:
    """Write unified rows, then raw rows; returns how many raw rows the server took.

    Raises ConservationError when the server took more or fewer unified rows than the verdict asked for,
    asyncpg.UniqueViolationError when a new key is already there.
    """
    if verdict.new.ids:
        new = await asyncio.to_thread(new_rows, batch.rows, verdict.new, stamp, at)
        copied = await _copy(connection, "unified_data", NEW_COLUMNS, new)
        require_rows("COPY into unified_data", copied, len(verdict.new.ids))
    if verdict.changed.ids:
        await _update(connection, batch, verdict, stamp, at)
    if not verdict.raw.ids:
        return 0
    raw = await asyncio.to_thread(raw_rows, batch.rows, verdict.raw, stamp, batch.fetched_at)
    return await _copy(connection, raw_table(stamp.source_type), RAW_COLUMNS, raw)


async def begin_part(connection: Connection) -> None:
    """Make room for `write` to be called once more in the same transaction."""
    await connection.execute(_CREATE_CHANGES)
    await connection.execute("delete from changes")


async def _update(connection: Connection, batch: LaneBatch, verdict: Verdict, stamp: RunStamp, at: datetime) -> None:
    changed = await asyncio.to_thread(changed_rows, batch.rows, verdict.changed)
    await connection.execute(_CREATE_CHANGES)
    await _copy(connection, "changes", CHANGED_COLUMNS, changed)
    pass_id = None if stamp.operation == "replay" else stamp.pass_id  # see replaying.py
    status = await connection.execute(_UPDATE_UNIFIED, stamp.run_id, pass_id, stamp.mapping_version, at)
    require_rows("update of unified_data", affected(status), len(verdict.changed.ids))


async def _copy(connection: Connection, table: str, columns: tuple[str, ...], data: bytes) -> int:
    """How many rows the server says it took."""
    status = await connection.copy_to_table(table, source=_pieces(data), columns=columns, format="binary")
    return affected(status)


async def _pieces(data: bytes) -> AsyncGenerator[bytes]:
    """About what a socket takes at once. The driver reads a file in a thread, which waits for the interpreter's lock;
    given everything at once, it moves the rest to the front after each piece.
    """
    for begin in range(0, len(data), _PIECE_BYTES):
        yield data[begin : begin + _PIECE_BYTES]


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
