"""Backfills: which window of a source's past is read in chunks, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.batches import RunStamp
from kasparro.services import raw_rows
from kasparro.services.loading import affected, require_rows

_LOCK_SOURCE = "select 1 from sources where id = $1::integer for no key update"
_COLUMNS = "id, source_id, since, until, chunk_seconds, done_until, state"
_OPEN = f"""
select {_COLUMNS} from backfills
where source_id = $1::integer and since = $2::timestamptz and until = $3::timestamptz and chunk_seconds = $4::bigint
  and state = 'open'
order by id desc limit 1 for update
"""  # noqa: S608
_FIND = f"select {_COLUMNS} from backfills where id = $1::bigint"  # noqa: S608
_LOCK = _FIND + " for update"
_INSERT = f"""
insert into backfills (source_id, since, until, chunk_seconds, done_until)
values ($1::integer, $2::timestamptz, $3::timestamptz, $4::bigint, $2::timestamptz)
returning {_COLUMNS}
"""  # noqa: S608
_GIVE_UP = "update backfills set state = 'given_up', finished_at = now() where id = $1::bigint and state = 'open'"
_FORGET = "delete from etl_checkpoints where source_id = $1::integer and scope = $2::text"
_ADVANCE = """
update backfills
set done_until = $2::timestamptz, state = case when $2 >= until then 'done' else state end,
    finished_at = case when $2 >= until then now() end
where id = $1::bigint and state = 'open' and done_until < $2
"""
_OPEN_REJECTS = """
select r.id, r.record_key, r.raw_id
from (select distinct record_key from unnest($2::text[]) as record_key) given cross join lateral (
    select id, record_key, raw_id from rejected_records
    where source_id = $1::integer and state = 'open' and record_key = given.record_key offset 0) r
"""
_RESOLVE_REJECTS = """
update rejected_records set state = 'resolved', resolved_at = $2::timestamptz, resolution = $3::text
where id = any($1::bigint[])
"""


@dataclass(frozen=True, slots=True)
class OpenReject:
    """A record that waits, and its payload, None where that is there no more."""

    id: int
    record_key: str
    payload: str | None


@dataclass(frozen=True, slots=True)
class Backfill:
    """One row: the window from `since` to `until`, which is not part of it; all before `done_until` is read."""

    id: int
    source_id: int
    since: datetime
    until: datetime
    chunk_seconds: int
    done_until: datetime
    state: str

    @property
    def scope(self) -> str:
        """Of its checkpoints."""
        return f"backfill:{self.id}"


async def open_one(
    connection: Connection, source_id: int, since: datetime, until: datetime, chunk_seconds: int
) -> tuple[Backfill, bool]:
    """The open backfill of this window and chunk, or a new one; and whether it is new. In a transaction."""
    await connection.execute(_LOCK_SOURCE, source_id)  # two that are asked for at once are one
    row = await connection.fetchrow(_OPEN, source_id, since, until, chunk_seconds)
    if row is not None:
        return Backfill(**dict(row)), False
    row = await connection.fetchrow(_INSERT, source_id, since, until, chunk_seconds)
    assert row is not None
    return Backfill(**dict(row)), True


async def give_up(connection: Connection, backfill: Backfill) -> None:
    """End an open backfill for good, and forget where it stood in its chunk: whoever works on it is fenced."""
    require_rows("update of backfills", affected(await connection.execute(_GIVE_UP, backfill.id)), 1)
    await connection.execute(_FORGET, backfill.source_id, backfill.scope)


async def find(connection: Connection, backfill_id: int, *, lock: bool = False) -> Backfill:
    """The backfill of this number; with `lock`, until the transaction ends. Raises NotFoundError."""
    row = await connection.fetchrow(_LOCK if lock else _FIND, backfill_id)
    if row is None:
        raise NotFoundError(f"backfill {backfill_id}: there is none of this number")
    return Backfill(**dict(row))


async def advance(connection: Connection, backfill_id: int, until: datetime) -> None:
    """Record that all before `until` is read; in the final transaction of a chunk."""
    status = await connection.execute(_ADVANCE, backfill_id, until)
    require_rows("update of backfills", affected(status), 1)


async def open_rejects(connection: Connection, stamp: RunStamp, keys: Sequence[str]) -> list[OpenReject]:
    """The open rejects of these keys."""
    rows = await connection.fetch(_OPEN_REJECTS, stamp.source_id, keys)
    found = await raw_rows.payloads(connection, stamp.source_type, [row["raw_id"] for row in rows])
    payloads = {raw_id: raw.payload for raw_id, raw in found.items()}
    return [OpenReject(row["id"], row["record_key"], payloads.get(row["raw_id"])) for row in rows]


async def resolve_rejects(connection: Connection, ids: Sequence[int], at: datetime, resolution: str) -> None:
    """Resolve rejects that are older than what has come for their keys."""
    if ids:
        await connection.execute(_RESOLVE_REJECTS, ids, at, resolution)
