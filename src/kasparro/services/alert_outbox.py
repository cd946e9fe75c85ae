"""Messages about alerts that wait to be delivered: who takes one in hand, and what became of it.

A message in hand is leased: where its process dies, it is due again after the lease. So each is delivered at least
once, twice after a death between delivery and note, under the same id.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kasparro.core.database import Connection

_CLAIM = """
with head as (
    select id from alert_deliveries
    where hook = $1::text and delivered_at is null and given_up_at is null
      and (next_at <= $2::timestamptz or attempts > 0)
    order by id limit 1),
taken as (
    update alert_deliveries d set attempts = d.attempts + 1, next_at = $3::timestamptz
    from head where d.id = head.id and d.next_at <= $2::timestamptz
    returning d.*)
select d.id, d.attempts, d.created_at, d.transition, a.id as alert_id, a.kind, a.label,
       case d.transition when 'resolved' then coalesce(a.detail ->> 'ended', a.summary) else a.summary end as summary,
       a.detail - 'ended' as detail, a.run_id, a.since, a.resolved_at, s.name as source
from taken d join alerts a on a.id = d.alert_id left join sources s on s.id = a.source_id
"""
_DELIVERED = """
update alert_deliveries set delivered_at = $2::timestamptz, last_error = null where id = $1::bigint
"""
_FAILED = """
update alert_deliveries set next_at = $2::timestamptz, last_error = $3::text
where id = $1::bigint and delivered_at is null
"""
_GIVE_UP = """
update alert_deliveries set given_up_at = $2::timestamptz, last_error = $3::text
where id = $1::bigint and delivered_at is null
"""
_EXPIRE = """
update alert_deliveries
set given_up_at = $1::timestamptz, last_error = 'no hook of this name was configured within a day'
where delivered_at is null and given_up_at is null and hook <> all($2::text[])
  and next_at < $1::timestamptz - interval '1 day'
returning hook
"""
_STANDING = """
select hook, count(*) filter (where given_up_at is null) as waiting,
       count(*) filter (where given_up_at > now() - interval '1 day') as given_up,
       min(created_at) filter (where given_up_at is null and attempts > 0) as since,
       (array_agg(last_error order by id) filter (where last_error is not null))[1] as last_error
from alert_deliveries where delivered_at is null and (given_up_at is null or given_up_at > now() - interval '1 day')
group by hook order by hook
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in hand, with the alert it is about. `attempts` counts this one."""

    id: int
    attempts: int
    created_at: datetime
    transition: str
    alert_id: int
    kind: str
    label: str
    summary: str
    detail: str | None
    run_id: int | None
    since: datetime
    resolved_at: datetime | None
    source: str | None


async def claim(connection: Connection, hook: str, at: datetime, leased_until: datetime) -> Waiting | None:
    """The hook's oldest message that is due, taken in hand by this statement; None when nothing is to be done now.

    Where two ask at once, the second finds that its message is leased when it comes to write, and has none.
    A message that failed holds up those behind it, so that they arrive in order; one that is not due yet does not.
    """
    row = await connection.fetchrow(_CLAIM, hook, at, leased_until)
    return None if row is None else Waiting(**dict(row))


async def delivered(connection: Connection, delivery_id: int, at: datetime) -> None:
    """The hook has it."""
    await connection.execute(_DELIVERED, delivery_id, at)


async def failed(connection: Connection, delivery_id: int, next_at: datetime, error: str) -> None:
    """The hook did not take it; it is tried again then."""
    await connection.execute(_FAILED, delivery_id, next_at, error)


async def give_up(connection: Connection, delivery_id: int, at: datetime, error: str) -> None:
    """It is tried no more."""
    await connection.execute(_GIVE_UP, delivery_id, at, error)


async def expire(connection: Connection, hooks: list[str], at: datetime) -> list[str]:
    """Give up messages to hooks that no scheduler has had for a day; `hooks` are ours. The hooks of those messages."""
    return [row["hook"] for row in await connection.fetch(_EXPIRE, at, hooks)]


async def standing(connection: Connection) -> list[dict[str, Any]]:
    """Hooks that have messages waiting, or given up within a day, and what went wrong."""
    return [dict(row) for row in await connection.fetch(_STANDING)]
