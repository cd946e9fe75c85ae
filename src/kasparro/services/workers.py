"""Processes that claim queued runs, and when each last asked for one. No lock depends on these rows."""

import socket
from typing import Final

from kasparro.core.database import Connection

ALIVE_SECONDS: Final = 60.0
"""Whoever has not asked for so long is believed to be gone."""
_FORGOTTEN_SECONDS: Final = 3600.0

_JOIN = """
insert into workers (name) values ($1::text) on conflict (name) do update set started_at = now(), polled_at = now()
"""
_POLL = "insert into workers (name) values ($1::text) on conflict (name) do update set polled_at = now()"
_LEAVE = "delete from workers where name = $1::text"
_FORGET = "delete from workers where polled_at < now() - make_interval(secs => $1::double precision)"
_ALIVE = "select name from workers where polled_at > now() - make_interval(secs => $1::double precision) order by name"


def name_of(pid: int) -> str:
    """What a process of this machine calls itself here."""
    return f"{socket.gethostname()}:{pid}"


async def join(connection: Connection, name: str) -> None:
    """A process begins to ask for runs; rows that others left behind when they were killed go."""
    await connection.execute(_JOIN, name)
    await connection.execute(_FORGET, _FORGOTTEN_SECONDS)


async def poll(connection: Connection, name: str) -> None:
    """It has asked again."""
    await connection.execute(_POLL, name)


async def leave(connection: Connection, name: str) -> None:
    """It will ask no more."""
    await connection.execute(_LEAVE, name)


async def alive(connection: Connection) -> list[str]:
    """Names of those that asked within the last minute."""
    return [row["name"] for row in await connection.fetch(_ALIVE, ALIVE_SECONDS)]
