"""Runs and migrations keep out of each other's way: a run shares the lock that a migration has for itself.

A waiter blocks for a second at most: a blocked session would hold up what the holder itself creates concurrently. While
it waits nobody new gets a share (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS), so
runs that begin all the time cannot keep a migration out for ever.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from asyncpg import LockNotAvailableError

from kasparro.core.database import Connection
from kasparro.core.errors import DatabaseError, RunConflictError

LOCK_KEY = 0x6B617370_6D696772
"""Advisory lock of whoever migrates: 'kaspmigr'."""
LOCK_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.2
_SHARE: Final = "select pg_try_advisory_lock_shared($1)"
_TAKE: Final = "select pg_advisory_lock($1)"
_RUNS: Final = "waiting for runs at work to end"
_MIGRATING: Final = "waiting for another process that migrates the database"
_PATIENCE: Final = "select set_config('lock_timeout', $1, false)"
_SHARED: Final = """
select exists(
    select from pg_locks
    where locktype = 'advisory' and granted and mode = 'ShareLock' and objsubid = 1
      and classid = ($1::bigint >> 32)::oid and objid = ($1::bigint & 4294967295)::oid
      and database = (select oid from pg_database where datname = current_database()))
"""
_WRITERS: Final = """
select exists(
    select from pg_stat_activity
    where datname = current_database() and application_name ~ '^kasparro:[0-9]+:[0-9]+$')
"""
"""Lanes outlive the connection that holds their run's share, when that is lost, for a moment."""


async def share(connection: Connection) -> None:
    """Keep migrations out until this session ends. Raises DatabaseError while somebody migrates for so long."""
    deadline = _deadline()
    while not await connection.fetchval(_SHARE, LOCK_KEY):
        if _now() > deadline:
            raise DatabaseError(
                f"the database has been migrated, or waited for by who migrates it, for {LOCK_TIMEOUT_SECONDS:.0f} s",
                hint="see `kasparro migrate`, then run again",
            )
        await asyncio.sleep(_POLL_SECONDS)


async def take(connection: Connection, report: Callable[[str], None] | None) -> None:
    """Wait until nobody migrates and no run is at work, and keep it so until this session ends.

    Raises DatabaseError for another process that migrates for so long, RunConflictError for runs.
    """
    deadline = _deadline()
    told: set[str] = set()
    await connection.execute(_PATIENCE, "1s")
    while not await _taken(connection):
        _tell(told, report, _RUNS if await connection.fetchval(_SHARED, LOCK_KEY) else _MIGRATING)
        if _now() > deadline:
            raise _too_long(runs=_RUNS in told)
    while await connection.fetchval(_WRITERS):
        _tell(told, report, _RUNS)
        if _now() > deadline:
            raise _too_long(runs=True)
        await asyncio.sleep(_POLL_SECONDS)
    await connection.execute(_PATIENCE, "0")


def _tell(told: set[str], report: Callable[[str], None] | None, message: str) -> None:
    if report is not None and message not in told:
        report(message)
    told.add(message)


async def _taken(connection: Connection) -> bool:
    """Whether it was free within a second. The next try follows at once, so that nobody new gets in between."""
    try:
        await connection.execute(_TAKE, LOCK_KEY)
    except LockNotAvailableError:
        return False
    return True


def _too_long(*, runs: bool) -> DatabaseError | RunConflictError:
    if runs:
        return RunConflictError(
            f"runs have been at work for {LOCK_TIMEOUT_SECONDS:.0f} s, and must end before the tables are changed",
            hint="wait for them, see `kasparro runs list`, or stop them: the next run goes on from there",
        )
    return DatabaseError(f"another process has been migrating for {LOCK_TIMEOUT_SECONDS:.0f} s")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _deadline() -> float:
    return _now() + LOCK_TIMEOUT_SECONDS
