"""Databases that are made beside the one in use, filled, emptied and dropped again."""

import secrets

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


def new_name() -> str:
    """A name that no database has."""
    return _PREFIX + secrets.token_hex(6)


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


async def empty(connection: Connection) -> None:
    """Remove every row of the connection's database; ids begin at 1 again. Waits for transactions that write."""
    with house_errors():
        await connection.execute(await connection.fetchval(_EMPTY))
