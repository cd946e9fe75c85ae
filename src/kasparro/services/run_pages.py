"""Runs as they are looked at: one, some, or pages of them.

One that is marked running and whose process is dead shows as interrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.services.liveness import INTERRUPTED, Dead, dead_runs
from kasparro.services.loading import is_id

_SHOW: Final = """
select r.*, s.name as source, s.type as source_type, m.hash as mapping_hash
from etl_runs r join sources s on s.id = r.source_id left join mapping_versions m on m.id = r.mapping_version
"""
_SOME: Final = " where r.id = any($1::bigint[]) order by r.id"
_ANY_OPEN: Final = "select exists(select from etl_runs where id = any($1::bigint[]) and finished_at is null)"
_OF_SOURCE: Final = "r.source_id = $0::integer"
_OF_TYPE: Final = "s.type = $0::text"
_IN_STATE: Final = "r.state = $0::text"
_ALIVE: Final = "r.id <> all($0::bigint[])"
_INTERRUPTED: Final = "(r.state = 'interrupted' or r.id = any($0::bigint[]))"
_BEFORE: Final = "r.id < $0::bigint"


async def find(connection: Connection, run_id: int) -> dict[str, Any]:
    """One run with its source's name. Raises NotFoundError."""
    row = await connection.fetchrow(_SHOW + " where r.id = $1::bigint", run_id) if is_id(run_id) else None
    if row is None:
        raise NotFoundError(f"run {run_id}: there is none of this number", hint="see `kasparro runs list`")
    return dict(row)


async def find_seen(connection: Connection, run_id: int) -> dict[str, Any]:
    """The same as somebody else sees it: a run whose process is dead is interrupted. As in all lists of runs."""
    return (await dead_runs(connection)).as_seen(await find(connection, run_id))


async def latest(connection: Connection, *, source: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest runs first, of one source or of all."""
    dead = await dead_runs(connection)
    condition = " where ($1::text is null or s.name = $1::text) order by r.id desc limit $2::integer"
    return [dead.as_seen(row) for row in await connection.fetch(_SHOW + condition, source, limit)]


async def some(connection: Connection, run_ids: Sequence[int]) -> list[dict[str, Any]]:
    """These runs, in the order of their ids."""
    dead = await dead_runs(connection)
    return [dead.as_seen(row) for row in await connection.fetch(_SHOW + _SOME, list(run_ids))]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs: of a source, of sources of a type, in a state; None: of any."""

    source_id: int | None = None
    source_type: str | None = None
    state: str | None = None


async def have_ended(connection: Connection, run_ids: Sequence[int]) -> bool:
    """Whether none of these runs is queued or at work."""
    dead = await dead_runs(connection)
    return not await connection.fetchval(_ANY_OPEN, [run_id for run_id in run_ids if run_id not in dead.ids])


async def page(connection: Connection, chosen: RunFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest runs first: those that are chosen, with ids below `before` where that is given."""
    dead = await dead_runs(connection)
    given = [(_OF_SOURCE, chosen.source_id), (_OF_TYPE, chosen.source_type), (_BEFORE, before)]
    held = [(condition, value) for condition, value in given if value is not None] + _in_state(chosen.state, dead)
    conditions = [condition.replace("$0", f"${place}") for place, (condition, _) in enumerate(held, 2)]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    statement = f"{_SHOW}{where} order by r.id desc limit $1::integer"
    return [dead.as_seen(row) for row in await connection.fetch(statement, limit, *(value for _, value in held))]


def _in_state(state: str | None, dead: Dead) -> list[tuple[str, Any]]:
    if state == INTERRUPTED[0]:
        return [(_INTERRUPTED, list(dead.ids))]
    return [] if state is None else [(_IN_STATE, state), (_ALIVE, list(dead.ids))]
