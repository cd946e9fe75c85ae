"""Configured sources as the database knows them."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kasparro.core.database import Connection
from kasparro.core.errors import IdentityChangedError, NotFoundError
from kasparro.services.liveness import dead_runs
from kasparro.services.loading import affected, require_rows

_BY_NAME = """
select id, name, type, identity, config_hash, last_success_at from sources where name = $1::text
"""
_INSERT = """
insert into sources (name, type, identity, config_hash) values ($1::text, $2::text, $3::jsonb, $4::text)
on conflict (name) do nothing
"""
_UPDATE = """
update sources set type = $2::text, identity = $3::jsonb, config_hash = $4::text,
    circuit_state = case when $5::boolean and circuit_state = 'open' then 'half_open' else circuit_state end
where id = $1::integer
"""
_HAS_RECORDS = "select exists(select from unified_data where source_id = $1::integer)"
_HAS_REJECTS = "select exists(select from rejected_records where source_id = $1::integer)"
_LIST = """
select s.id as source_id, s.name, s.type, s.last_success_at, r.id as run_id, r.state, r.started_at, r.finished_at,
       r.error_message
from sources s left join lateral (
    select * from etl_runs where source_id = s.id order by id desc limit 1) r on true
order by s.name
"""

_PAGE = """
select s.id, s.name, s.type, s.identity, s.digest, s.circuit_state, s.created_at, s.last_success_at,
       r.id as run_id, r.state, r.started_at, r.finished_at, r.error_code
from sources s left join lateral (
    select * from etl_runs where source_id = s.id order by id desc limit 1) r on true
where ($1::text is null or s.name = $1::text) and ($2::text is null or s.name > $2::text)
order by s.name limit $3::integer
"""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A source's row. `identity` is what makes its keys: `{"type": .., "key": [..]}`."""

    id: int
    name: str
    type: str
    identity: dict[str, Any]
    config_hash: str
    last_success_at: datetime | None


async def find(connection: Connection, name: str) -> SourceInfo | None:
    """The source of this name, if it was ever run."""
    row = await connection.fetchrow(_BY_NAME, name)
    if row is None:
        return None
    columns: dict[str, Any] = dict(row)
    return SourceInfo(identity=json.loads(columns.pop("identity")), **columns)


async def get(connection: Connection, name: str) -> SourceInfo:
    """The source of this name. Raises NotFoundError."""
    found = await find(connection, name)
    if found is None:
        raise NotFoundError(f"source {name}: the database knows none of this name", hint="has it been run yet?")
    return found


async def register(connection: Connection, *, name: str, source_type: str, identity: dict[str, Any]) -> SourceInfo:
    """The source's row, made if it is not there. Does not change an existing one: see `adopt`."""
    found = await find(connection, name)
    if found is not None:
        return found
    await connection.execute(_INSERT, name, source_type, json.dumps(identity), "")
    return await get(connection, name)


async def adopt(
    connection: Connection,
    source: SourceInfo,
    *,
    source_type: str,
    identity: dict[str, Any],
    config_hash: str,
    reads: bool = True,
) -> None:
    """Make the configuration's type, key and hash those of the row, under the source's lock.

    `reads`: the run asks the source, so that a circuit that is open is half open now. Raises IdentityChangedError.
    """
    await require_identity(connection, source, source_type=source_type, identity=identity)
    status = await connection.execute(_UPDATE, source.id, source_type, json.dumps(identity), config_hash, reads)
    require_rows("update of sources", affected(status), 1)


async def require_identity(
    connection: Connection, source: SourceInfo, *, source_type: str, identity: dict[str, Any]
) -> None:
    """Raise IdentityChangedError when type or key differ and there are records: old keys would never match again."""
    changed = source.type != source_type or source.identity != identity
    if changed and await has_data(connection, source.id):
        raise _identity_changed(source, identity)


async def has_data(connection: Connection, source_id: int) -> bool:
    """Whether any unified row of the source exists, deleted ones included, or any reject."""
    return bool(await connection.fetchval(_HAS_RECORDS, source_id)) or bool(
        await connection.fetchval(_HAS_REJECTS, source_id)
    )


async def has_records(connection: Connection, source_id: int) -> bool:
    """Whether any unified row of the source exists, deleted ones included."""
    return bool(await connection.fetchval(_HAS_RECORDS, source_id))


async def list_all(connection: Connection) -> list[dict[str, Any]]:
    """Each source with its latest run, by name."""
    dead = await dead_runs(connection)
    return [dead.as_seen(row, key="run_id") for row in await connection.fetch(_LIST)]


async def page(
    connection: Connection, *, name: str | None = None, after: str | None = None, limit: int
) -> list[dict[str, Any]]:
    """Each source with its latest run, by name: the one of this name, those behind another name, or all."""
    dead = await dead_runs(connection)
    return [dead.as_seen(row, key="run_id") for row in await connection.fetch(_PAGE, name, after, limit)]


def _identity_changed(source: SourceInfo, identity: dict[str, Any]) -> IdentityChangedError:
    changes = [
        f"{name} was {source.identity.get(name)!r} and is now {identity.get(name)!r}"
        for name in sorted({*source.identity, *identity})
        if source.identity.get(name) != identity.get(name)
    ]
    return IdentityChangedError(
        f"source {source.name}: {'; '.join(changes)}, but it has data whose keys were made the old way",
        hint="restore the old setting, or give the changed source a new name: it then starts a history of its own",
    )
