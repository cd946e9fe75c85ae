"""Runs that somebody asked for: queued by the API, claimed by a scheduler."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.schemas.batches import OperationName
from kasparro.services.loading import affected
from kasparro.services.locks import LOCK_SPACE

CHANNEL: Final = "kasparro_runs"
"""Notified when a run is queued: https://www.postgresql.org/docs/current/sql-notify.html."""

ORIGIN: Final = "asked"
"""Where a run's plan says whose wish it is."""

_LOCK = """
select id, name from sources where $1::text is null or name = $1::text order by id for no key update
"""
_ASKED = """
select source_id, id from etl_runs where source_id = any($1::integer[]) and idempotency_key = $2::text
"""
_ACTIVE = """
with held as materialized (
    select objid::bigint as source_id from pg_locks
    where locktype = 'advisory' and granted and objsubid = 2 and classid = $2::bigint::oid
      and database = (select oid from pg_database where datname = current_database()))
select source_id, max(id) as id from etl_runs r
where source_id = any($1::integer[]) and finished_at is null and ($3::text is null or operation = $3)
  and (state = 'queued' or (state = 'running' and exists (select from held where held.source_id = r.source_id)))
group by source_id
"""
_ADD = """
insert into etl_runs (source_id, trigger, state, idempotency_key, operation, plan)
values ($1::integer, $2::text, 'queued', $3::text, $4::text, $5::jsonb) returning id
"""
_NOTIFY = "select pg_notify($1::text, '')"
_QUEUED = """
select s.name as source, r.id, r.trigger, r.operation, r.plan
from etl_runs r join sources s on s.id = r.source_id
where r.state = 'queued' and r.finished_at is null and s.name = any($1::text[]) order by r.id
"""
_STRANGE = """
select s.name as source, r.id, r.trigger, r.operation, r.plan
from etl_runs r join sources s on s.id = r.source_id
where r.state = 'queued' and r.finished_at is null and s.name <> all($1::text[]) order by r.id
"""
_REFUSE = """
with closed as (
    update etl_runs set state = 'failed', finished_at = now(), error_code = $2::text, error_message = $3::text
    where id = $1::bigint and state = 'queued' returning source_id)
insert into metric_counters as known (name, source_id, label, value)
select 'runs_total', source_id, 'failed', 1 from closed
on conflict (name, source_id, label) do update set value = known.value + excluded.value
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose wish a run is: the request's id, for the log, and its `traceparent`, where it was traced."""

    request_id: str | None = None
    traceparent: str | None = None

    def as_json(self) -> dict[str, str]:
        """What stands in the run's plan."""
        named = {"request_id": self.request_id, "traceparent": self.traceparent}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that waits for its claim; `trigger` says who asked for it, `plan` (JSON) what its operation is given."""

    source: str
    id: int
    trigger: str
    operation: str | None = None
    plan: str | None = None

    @property
    def origin(self) -> Origin | None:
        """Whose wish it is, where that is known."""
        asked = json.loads(self.plan or "{}").get(ORIGIN)
        return None if asked is None else Origin(asked.get("request_id"), asked.get("traceparent"))


async def lock_sources(connection: Connection, name: str | None) -> dict[int, str]:
    """The source of this name, or all: id to name. In a transaction; others that queue runs of them wait for its end.

    Runs at work do not: they only need the sources' keys to stay.
    """
    return {int(row["id"]): row["name"] for row in await connection.fetch(_LOCK, name)}


async def asked_before(connection: Connection, source_ids: list[int], key: str) -> dict[int, int]:
    """Source id to the run that was queued under this idempotency key."""
    return {int(row["source_id"]): int(row["id"]) for row in await connection.fetch(_ASKED, source_ids, key)}


async def active(
    connection: Connection, source_ids: list[int], operation: OperationName | None = None
) -> dict[int, int]:
    """Source id to its run that is queued or at work, whatever it does, or with this operation. A run that is marked
    running while nobody holds its source's lock is dead, and not among them."""
    rows = await connection.fetch(_ACTIVE, source_ids, LOCK_SPACE, operation)
    return {int(row["source_id"]): int(row["id"]) for row in rows}


async def add(  # noqa: PLR0913  each says one thing of the run
    connection: Connection,
    source_id: int,
    trigger: str,
    *,
    key: str | None = None,
    operation: OperationName | None = None,
    plan: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
) -> int:
    """Queue a run and wake up who claims it, once this is committed; returns its id. `plan` is for its operation."""
    asked = {} if origin is None else {ORIGIN: origin.as_json()}
    given = json.dumps({**(plan or {}), **asked}) if plan is not None or asked else None
    run_id = int(await connection.fetchval(_ADD, source_id, trigger, key, operation, given))
    await connection.execute(_NOTIFY, CHANNEL)
    return run_id


async def queued(connection: Connection, sources: list[str]) -> list[QueuedRun]:
    """Queued runs of these sources, oldest first."""
    return [_queued(row) for row in await connection.fetch(_QUEUED, sources)]


async def strange(connection: Connection, sources: list[str]) -> list[QueuedRun]:
    """Queued runs of all other sources, oldest first."""
    return [_queued(row) for row in await connection.fetch(_STRANGE, sources)]


async def refuse(connection: Connection, run_id: int, error: tuple[str, str]) -> bool:
    """Close a queued run that cannot even begin, with the error's code and message; False when it is queued no more."""
    return affected(await connection.execute(_REFUSE, run_id, *error)) == 1


def _queued(row: Any) -> QueuedRun:
    return QueuedRun(row["source"], int(row["id"]), row["trigger"], row["operation"], row["plan"])
