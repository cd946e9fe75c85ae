"""Keys of the API: made, listed, revoked, and looked up by their ids. Secrets are never here, only their SHA-256."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kasparro.core.api_keys import NewKey, Scope
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError

_SHOWN: Final = """
    id, name, scopes, created_at, expires_at, revoked_at,
    case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' else 'active' end as state
"""
_INSERT: Final = """
    insert into api_keys (id, name, secret_sha256, scopes, expires_at) values ($1, $2, $3, array[$4::text], $5)
"""
_LIST: Final = "select" + _SHOWN + "from api_keys order by created_at, id"
_FIND: Final = "select" + _SHOWN + "from api_keys where id = $1"
_REVOKE: Final = "update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1"
_FIND_ACTIVE: Final = """
    select secret_sha256, scopes from api_keys
    where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())
"""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as people see it; `state` is active, expired or revoked."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """What a key that may be used is checked against, and what it grants."""

    secret_sha256: bytes
    scopes: list[str]


async def insert(
    connection: Connection, key: NewKey, *, name: str, scope: Scope, expires_at: datetime | None
) -> ApiKey:
    """Keep a new key."""
    await connection.execute(_INSERT, key.id, name, key.secret_sha256, scope, expires_at)
    return await find(connection, key.id)


async def list_all(connection: Connection) -> list[ApiKey]:
    """Every key that was ever made, the oldest first."""
    return [ApiKey(**dict(row)) for row in await connection.fetch(_LIST)]


async def revoke(connection: Connection, key_id: str) -> ApiKey:
    """End a key for good; one that is revoked stays as it was. Raises NotFoundError."""
    await connection.execute(_REVOKE, key_id)
    return await find(connection, key_id)


async def find(connection: Connection, key_id: str) -> ApiKey:
    """The key of this id, whatever its state. Raises NotFoundError."""
    row = await connection.fetchrow(_FIND, key_id)
    if row is None:
        raise NotFoundError(f"key {key_id}: there is none of this id", hint="see `kasparro keys list`")
    return ApiKey(**dict(row))


async def find_active(connection: Connection, key_id: str) -> ActiveKey | None:
    """The key of this id, unless it is unknown, expired or revoked."""
    row = await connection.fetchrow(_FIND_ACTIVE, key_id)
    return None if row is None else ActiveKey(row["secret_sha256"], row["scopes"])
