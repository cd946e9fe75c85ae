"""Signing keys: made once, whoever asks first."""

import asyncio

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services import signing_keys


async def test_all_who_ask_at_once_get_the_same_key(database: ConnectionOptions, connection: Connection) -> None:
    others = [await connect(database, application_name="kasparro:test") for _ in range(4)]
    keys = await asyncio.gather(*(signing_keys.ensure(other, signing_keys.CURSORS) for other in others))
    for other in others:
        await other.close()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert await signing_keys.ensure(connection, signing_keys.CURSORS) == keys[0]
    assert await signing_keys.ensure(connection, "another") != keys[0]
