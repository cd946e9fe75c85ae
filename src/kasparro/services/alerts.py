"""What is wrong with a source as the database knows it, which alerts fire, and the changes from the one to the other.

A change and the messages about it are written in one statement: an alert that begins or ends is told, or not at all.
Whoever settles a source holds its row (`hold`, or the closing of its run), so that two never settle it at once.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from kasparro.core.database import Connection
from kasparro.schemas.alerts import AlertKind, AlertRules, Condition

_HOLD = """
select id, name, last_success_at, created_at, interval_seconds
from sources where name = $1::text for no key update skip locked
"""
_FACTS = """
with good as (
    select coalesce(max(id), 0) as id from etl_runs
    where source_id = $1::integer and operation is null
      and (state in ('succeeded', 'partial') or error_code = 'quality_check_failed')),
complete as (
    select coalesce(max(id), 0) as id from etl_runs
    where source_id = $1::integer and operation is null
      and (state in ('succeeded', 'partial') or error_code = 'quality_check_failed')),
judged as (
    select r.id from (
        select distinct run_id from quality_results where source_id = $1::integer order by run_id desc limit 5) q
    join etl_runs r on r.id = q.run_id
    where r.finished_at is not null order by r.finished_at desc, r.id desc limit 1),
bad as (
    select r.state, max(r.id) as id, min(r.finished_at) as since, count(*) as runs from etl_runs r, complete
    where r.source_id = $1::integer and r.operation is null and r.started_at is not null
      and r.state in ('failed', 'systemic') and r.id > complete.id
    group by r.state)
select case bad.state when 'failed' then 'failing' else 'systemic' end as kind, '' as label, bad.id as run_id, bad.runs,
       bad.since, r.error_code, r.error_message as message
from bad join etl_runs r on r.id = bad.id
union all
select 'drift', kind, max(last_run_id), count(*), min(created_at), null, string_agg(field, ', ' order by field)
from schema_drift_events where source_id = $1::integer and state = 'open' group by kind
union all
select 'quality', name, run_id, failed, created_at, null, message
from quality_results where run_id = (select id from judged) and not passed and level = 'fail'
union all
select 'anomaly', measure, run_id, 1, created_at, null, message
from run_anomalies where run_id = (select id from good)
union all
select 'circuit', '', null, 1, null, null, null from sources where id = $1::integer and circuit_state <> 'closed'
union all
select 'firing', kind || '/' || label, null, 1, since, null, null
from alerts where source_id = $1::integer and state = 'firing'
"""
"""A run that read all, and failed for the quality of its records, is told of as that, not as a failing source."""
_SETTLE = """
with wanted as (
    select * from jsonb_to_recordset($2::jsonb)
        as given(kind text, label text, summary text, run_id bigint, detail jsonb)),
routes as (select * from jsonb_to_recordset($4::jsonb) as given(hook text, kind text)),
ended as (
    update alerts a set state = 'resolved', resolved_at = $5::timestamptz
    where a.source_id = $1::integer and a.state = 'firing' and a.kind = any($3::text[])
      and not exists (select from wanted w where w.kind = a.kind and w.label = a.label)
    returning a.id, a.kind),
begun as (
    insert into alerts (source_id, kind, label, state, summary, detail, run_id, since)
    select $1::integer, kind, label, 'firing', summary, detail, run_id, $5::timestamptz from wanted
    on conflict (source_id, kind, label) where state = 'firing' do nothing
    returning id, kind, label),
withdrawn as (
    delete from alert_deliveries d using alerts a, begun b
    where d.alert_id = a.id and a.source_id = $1::integer and a.kind = b.kind and a.label = b.label
      and d.transition = 'resolved' and d.attempts = 0 and d.delivered_at is null and d.given_up_at is null
    returning d.hook, b.id),
changes as (
    select id, kind, 'firing' as transition, $5::timestamptz as next_at from begun
    union all select id, kind, 'resolved', $6::timestamptz from ended),
told as (
    insert into alert_deliveries (alert_id, hook, transition, next_at, created_at)
    select c.id, r.hook, c.transition, c.next_at, $5::timestamptz
    from changes c join routes r on r.kind = c.kind
    where not exists (select from withdrawn w where w.id = c.id and w.hook = r.hook)
    order by c.id, r.hook)
select c.id, c.transition, a.kind, a.label, a.summary
from changes c join (
    select id, kind, label, summary from alerts union all
    select b.id, w.kind, w.label, w.summary from begun b join wanted w using (kind, label)) a using (id)
order by c.id
"""
_ABANDON = """
with ended as (
    update alerts a set state = 'resolved', resolved_at = $2::timestamptz,
        detail = coalesce(detail, '{}') || jsonb_build_object('ended', $3::text || '; it was: ' || summary)
    where source_id = any($1::integer[]) and state = 'firing'
    returning id, source_id, kind, label, detail ->> 'ended' as summary),
told as (
    insert into alert_deliveries (alert_id, hook, transition, next_at, created_at)
    select e.id, d.hook, 'resolved', $2::timestamptz, $2::timestamptz
    from ended e join alert_deliveries d on d.alert_id = e.id and d.transition = 'firing'
    order by e.id, d.hook)
select e.id, 'resolved' as transition, e.kind, e.label, e.summary, s.name as source
from ended e join sources s on s.id = e.source_id order by e.id
"""
"""Told to whom the beginning was told: no rules of theirs are known any more."""
_ABANDONED = "no scheduler reads this source any more, it is not in the configuration"
_LIST = """
select a.id, s.name as source, a.kind, a.label, a.state, coalesce(a.detail ->> 'ended', a.summary) as summary,
       a.run_id, a.since, a.resolved_at,
       (select count(*) from alert_deliveries d where d.alert_id = a.id and d.delivered_at is not null) as told,
       (select count(*) from alert_deliveries d
        where d.alert_id = a.id and d.delivered_at is null and d.given_up_at is null) as waiting,
       (select count(*) from alert_deliveries d where d.alert_id = a.id and d.given_up_at is not null) as given_up
from alerts a left join sources s on s.id = a.source_id
where ($1::boolean or a.state = 'firing') and ($2::text is null or s.name = $2::text)
order by a.state, a.since desc, a.id desc limit $3::integer
"""
_PRUNE = """
with old as (
    select id from alerts a where state = 'resolved' and resolved_at < $1::timestamptz
      and not exists (select from alert_deliveries d
                      where d.alert_id = a.id and d.delivered_at is null and d.given_up_at is null)
    limit 10000),
messages as (delete from alert_deliveries where alert_id in (select id from old))
select array_agg(id) from old
"""
_DROP = "delete from alerts where id = any($1::bigint[])"
KEPT_DAYS: Final = 90
_FACT_KINDS: Final[tuple[AlertKind, ...]] = ("failing", "systemic", "drift", "quality", "anomaly", "circuit")
"""Kinds that the database shows by itself; only the clock shows that a source is stale."""
_MOST_CHARACTERS: Final = 500
_THRESHOLDED: Final = ("failing", "systemic")


@dataclass(frozen=True, slots=True)
class Held:
    """A source whose row is locked. `interval_seconds`: how often a scheduler reads it; None where none does."""

    id: int
    name: str
    last_success_at: datetime | None
    created_at: datetime
    interval_seconds: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that has just begun or ended."""

    id: int
    transition: str
    kind: str
    label: str
    summary: str


async def hold(connection: Connection, source: str) -> Held | None:
    """The source, with its row locked until the transaction ends; None when it is not known, or somebody has it."""
    row = await connection.fetchrow(_HOLD, source)
    return None if row is None else Held(**dict(row))


async def settle(
    connection: Connection,
    source_id: int,
    rules: AlertRules,
    at: datetime,
    *,
    stale: Condition | None = None,
    stale_known: bool,
) -> list[Change]:
    """Begin and end the source's alerts as things stand, with a message to each hook that is to be told of one.

    `stale_known`: `stale` is judged, and None says that the source is not; else such an alert stays as it is.
    One statement where nothing has changed.
    """
    rows = [dict(row) for row in await connection.fetch(_FACTS, source_id)]
    firing = {row["label"] for row in rows if row["kind"] == "firing"}
    wanted = _conditions([row for row in rows if row["kind"] != "firing"], rules.failing_after, firing)
    wanted += [] if stale is None else [stale]
    kinds = [*_FACT_KINDS, *(["stale"] if stale_known else [])]
    if {f"{each.kind}/{each.label}" for each in wanted} == {key for key in firing if key.partition("/")[0] in kinds}:
        return []
    routes = [{"hook": route.hook, "kind": kind} for route in rules.routes for kind in sorted(route.kinds)]
    changes = await connection.fetch(
        _SETTLE, source_id, json.dumps([asdict(each) for each in wanted]), kinds, json.dumps(routes), at,
        at + timedelta(seconds=rules.recovered_after_seconds),
    )  # fmt: skip
    return [Change(**dict(change)) for change in changes]


async def abandon(connection: Connection, source_ids: Sequence[int], at: datetime) -> list[tuple[str, Change]]:
    """End what fires of sources that nobody reads any more, and tell whoever was told that it began; with their names.

    Their rows are locked, or were changed in the same transaction.
    """
    ended = [dict(row) for row in await connection.fetch(_ABANDON, list(source_ids), at, _ABANDONED)]
    return [(row.pop("source"), Change(**row)) for row in ended]


async def latest(
    connection: Connection, *, all_states: bool, source: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Alerts that fire, or all, newest first; with how many messages were delivered, wait, and were given up."""
    return [dict(row) for row in await connection.fetch(_LIST, all_states, source, limit)]


async def prune(connection: Connection, at: datetime) -> int:
    """Drop alerts that ended 90 days ago, with their messages; how many."""
    ids: list[int] = await connection.fetchval(_PRUNE, at - timedelta(days=KEPT_DAYS)) or []
    await connection.execute(_DROP, ids)
    return len(ids)


def _conditions(facts: Sequence[dict[str, Any]], failing_after: int, firing: Collection[str]) -> list[Condition]:
    """What is wrong. Failures count together, and those that are told of already go on until the source succeeds."""
    failures = sum(fact["runs"] for fact in facts if fact["kind"] in _THRESHOLDED)
    return [
        _condition(fact)
        for fact in facts
        if fact["kind"] not in _THRESHOLDED or failures >= failing_after or f"{fact['kind']}/" in firing
    ]


def _condition(fact: dict[str, Any]) -> Condition:
    kind = cast("AlertKind", fact["kind"])
    detail = {"runs": fact["runs"], "error_code": fact["error_code"]} if kind in _THRESHOLDED else {}
    return Condition(kind, fact["label"], _summary(kind, fact), fact["run_id"], detail)


def _summary(kind: AlertKind, fact: dict[str, Any]) -> str:
    message = " ".join(str(fact["message"] or "").split())
    shown = message if len(message) <= _MOST_CHARACTERS else f"{message[:_MOST_CHARACTERS]}..."
    match kind:
        case "failing" | "systemic":
            return f"{fact['error_code']}: {shown}"
        case "drift":
            return f"{fact['runs']} open finding{'s' * (fact['runs'] > 1)} of kind {fact['label']}: {shown}"
        case "circuit":
            return "several runs in a row have failed, so the source is asked at growing distances"
        case _:
            return shown
