"""Who may write: one session advisory lock a source, and an end to writers that are stuck in a transaction.

Locks are polled, never waited for: a waiter that blocks stalls the holder's own lanes. See
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kasparro.core.database import Connection

LOCK_SPACE = 0x6B61
"""First half of each source's lock key: 'ka'; the second half is the source's id."""

_STUCK = """
select pg_terminate_backend(pid)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like $1::text
  and wait_event = 'ClientRead' and xact_start < now() - make_interval(secs => $2::double precision)
"""
_SESSION: Final = "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
_END: Final = """
select pg_terminate_backend(pid, $4::bigint)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
  and (application_name like any($1::text[])
       or (pid, backend_start) in (select * from unnest($2::integer[], $3::timestamptz[])))
"""
_END_MILLISECONDS: Final = 5000
_ACTIVE: Final = """
select coalesce(r.id, 0) as id, s.name as source, coalesce(r.trigger, '') as trigger
from pg_locks l
join sources s on s.id = l.objid::bigint
left join lateral (
    select id, trigger from etl_runs where source_id = s.id and state = 'running' order by id desc limit 1) r on true
where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = $1::bigint::oid
  and l.database = (select oid from pg_database where datname = current_database())
order by s.name
"""


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """Who holds a source's lock right now; id 0 and no trigger when it is no run, or has only just begun."""

    id: int
    source: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the server knows it; numbers of processes are used again, moments are not."""

    pid: int
    started_at: datetime


async def session_of(connection: Connection) -> Session:
    """Which session this is."""
    row = await connection.fetchrow(_SESSION)
    assert row is not None
    return Session(row["pid"], row["backend_start"])


async def end_sessions(connection: Connection, run_ids: Sequence[int], sessions: Sequence[Session]) -> int:
    """End these sessions and those of the lanes of these runs, wait for their end, and say how many there were.

    For whoever has lost them while the server, which nobody told, keeps them and their locks.
    """
    names = [f"kasparro:{run_id}:%" for run_id in run_ids]
    pids, moments = [each.pid for each in sessions], [each.started_at for each in sessions]
    return len(await connection.fetch(_END, names, pids, moments, _END_MILLISECONDS))


async def active_runs(connection: Connection) -> list[ActiveRun]:
    """The runs that hold their sources' locks. The schema must be current."""
    rows = await connection.fetch(_ACTIVE, LOCK_SPACE)
    return [ActiveRun(row["id"], row["source"], row["trigger"]) for row in rows]


def application_name(run_id: int | None, lane: int | None = None) -> str:
    """Name of a run's connection as the server shows it: `kasparro:<run>:<lane>`."""
    run = "new" if run_id is None else str(run_id)
    return f"kasparro:{run}:coordinator" if lane is None else f"kasparro:{run}:{lane}"


async def try_lock(connection: Connection, source_id: int) -> bool:
    """Take the source's lock for this session, unless another session holds it."""
    return bool(await connection.fetchval("select pg_try_advisory_lock($1, $2)", LOCK_SPACE, source_id))


async def unlock(connection: Connection, source_id: int) -> None:
    """Give the source's lock back."""
    await connection.execute("select pg_advisory_unlock($1, $2)", LOCK_SPACE, source_id)


async def end_stuck_writers(connection: Connection, run_ids: list[int], *, older_than_seconds: float) -> int:
    """End connections of these runs that wait for their client inside an old transaction; returns how many.

    No time-out of PostgreSQL ends a stopped client in the middle of a COPY.
    """
    ended = 0
    for run_id in run_ids:
        ended += len(await connection.fetch(_STUCK, f"kasparro:{run_id}:%", older_than_seconds))
    return ended
