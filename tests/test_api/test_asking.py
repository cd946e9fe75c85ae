"""Questions to the database that take long: the server is asked meanwhile whether it is still there."""

import asyncio

from kasparro.api.asking import SUSPECT_AFTER_SECONDS, ask_long
from kasparro.core.database import Connection, ConnectionOptions, create_pool


async def test_question_that_ends_while_the_server_is_asked_about_it_is_answered(database: ConnectionOptions) -> None:
    """The ping waits for the pool's only connection: the question has given it back when the ping is put."""

    async def question(connection: Connection) -> str:
        await connection.execute("select pg_sleep($1)", SUSPECT_AFTER_SECONDS * 1.3)
        return "answer"

    async with await create_pool(database, max_size=1, application_name="kasparro:test") as pool:
        room = asyncio.Semaphore(1)
        assert await ask_long(pool, question, room=room, longest_seconds=5) == "answer"
