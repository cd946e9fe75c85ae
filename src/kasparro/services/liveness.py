"""Runs that are marked running although nobody is at work on them: their processes died, or lost the database for good.

Whoever takes such a source over closes them. Until then, whoever looks says what they are, and writes nothing.
"""

from dataclasses import dataclass
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.services.locks import LOCK_SPACE

INTERRUPTED: Final = ("interrupted", "the run ended without closing: its process died or lost its connection")
"""State and error code, and message, of such a run."""

_RUNNING: Final = "select id, source_id from etl_runs where finished_at is null and state = 'running'"
_HELD: Final = """
select objid::bigint as source_id from pg_locks
where locktype = 'advisory' and granted and objsubid = 2 and classid = $1::bigint::oid
  and database = (select oid from pg_database where datname = current_database())
"""
_STILL: Final = "select id from etl_runs where id = any($1::bigint[]) and finished_at is null and state = 'running'"


@dataclass(frozen=True, slots=True)
class Dead:
    """Ids of such runs."""

    ids: frozenset[int] = frozenset()

    def as_seen(self, row: Any, *, key: str = "id") -> dict[str, Any]:
        """A row about the run whose id is in column `key`, as it is to be shown."""
        columns = dict(row)
        if columns[key] in self.ids:
            shown = {"state": INTERRUPTED[0], "error_code": INTERRUPTED[0], "error_message": INTERRUPTED[1]}
            columns |= {name: value for name, value in shown.items() if name in columns}
        return columns


async def dead_runs(connection: Connection) -> Dead:
    """Outside of a transaction, for it takes three looks, each of which must see what was committed before it.

    A run holds its source's lock before it is marked running, until it is closed or dead. So one that was seen running,
    whose source nobody held after that, and that after that is not closed, never will be by itself. Where somebody
    holds the source, it is that one, or somebody who is about to close it.
    """
    running = {int(row["id"]): int(row["source_id"]) for row in await connection.fetch(_RUNNING)}
    if not running:
        return Dead()
    held = {int(row["source_id"]) for row in await connection.fetch(_HELD, LOCK_SPACE)}
    left = [run_id for run_id, source_id in running.items() if source_id not in held]
    if not left:
        return Dead()
    return Dead(frozenset(int(row["id"]) for row in await connection.fetch(_STILL, left)))
