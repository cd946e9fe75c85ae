"""Databases that are made beside the one in use, filled, emptied and dropped again."""

import secrets
import time

from asyncpg import InsufficientPrivilegeError

from kasparro.core.database import Connection, house_errors
from kasparro.core.errors import DatabaseError

_PREFIX = "kasparro_scratch_"
_CREATE = "select format('create database %I encoding ''UTF8'' template template0', $1::text)"
_DROP = "select format('drop database if exists %I with (force)', $1::text)"
_EMPTY = """
select format('truncate %s restart identity cascade', string_agg(c.oid::regclass::text, ', '))
from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname <> 'alembic_version'
"""


_ABANDONED = """
select datname from pg_database d
where datname ~ $1::text and datdba = (select oid from pg_roles where rolname = current_user)
  and not exists (select from pg_stat_activity a where a.datid = d.oid)
"""
_ABANDONED_SECONDS = 3600


def new_name() -> str:
    """A name that no database has; it says when it was made."""
    return f"{_PREFIX}{int(time.time()):x}_{secrets.token_hex(4)}"


async def create(connection: Connection, name: str) -> None:
    """Make an empty database on the connection's server. Raises DatabaseError without the right to do so."""
    try:
        with house_errors():
            await connection.execute(await connection.fetchval(_CREATE, name))
    except DatabaseError as error:
        if isinstance(error.__cause__, InsufficientPrivilegeError):
            raise DatabaseError(
                f"{error.message}: a scratch database beside the one in use is needed",
                hint="grant the right: alter role .. createdb; or point DATABASE_URL at a server where it is granted",
            ) from error
        raise


async def drop(connection: Connection, name: str) -> None:
    """Remove a database if it is there, whoever is still connected to it."""
    with house_errors():
        await connection.execute(await connection.fetchval(_DROP, name))


async def drop_abandoned(connection: Connection) -> None:
    """Remove own databases of this kind that were made more than an hour ago and that nobody is connected to.

    Whoever made them was killed.
    """
    with house_errors():
        rows = await connection.fetch(_ABANDONED, f"^{_PREFIX}[0-9a-f]+_[0-9a-f]+$")
    for name in (row["datname"] for row in rows):
        if int(name.removeprefix(_PREFIX).partition("_")[0], 16) < time.time() - _ABANDONED_SECONDS:
            await drop(connection, name)


async def empty(connection: Connection) -> None:
    """Remove every row of the connection's database; ids begin at 1 again. Waits for transactions that write."""
    with house_errors():
        await connection.execute(await connection.fetchval(_EMPTY))
