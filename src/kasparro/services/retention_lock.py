"""Retention is one process's at a time, and goes by the slower of two clocks."""

from datetime import datetime
from typing import Final

from kasparro.core.database import Connection
from kasparro.core.errors import RunConflictError

LOCK_KEY: Final = 0x6B617370_72657465
"""Advisory lock of whoever drops what is old: 'kasprete'."""


async def take(connection: Connection) -> None:
    """Until this session ends. Raises RunConflictError when another has it."""
    if not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK_KEY):
        raise RunConflictError("retention: another process is at it", hint="wait for it to end")


async def not_after_now(connection: Connection, at: datetime) -> datetime:
    """The moment, or the server's time where that is earlier: a clock of ours that is ahead drops nothing too soon."""
    moment: datetime = await connection.fetchval("select least(now(), $1::timestamptz)", at)
    return moment
