"""Secrets of the service's own, made once and shared by all its processes through the database."""

import secrets
from typing import Final

from kasparro.core.database import Connection

CURSORS: Final = "cursors"
"""The name of the key that signs cursors."""
_SECRET_BYTES: Final = 32
_INSERT: Final = "insert into signing_keys (name, secret) values ($1, $2) on conflict (name) do nothing"
_FIND: Final = "select secret from signing_keys where name = $1"


async def ensure(connection: Connection, name: str) -> bytes:
    """The key of this name, made if there is none: whoever asks, however many at once, gets the same."""
    found = await connection.fetchval(_FIND, name)
    if found is None:
        await connection.execute(_INSERT, name, secrets.token_bytes(_SECRET_BYTES))
        found = await connection.fetchval(_FIND, name)
    assert isinstance(found, bytes)
    return found
