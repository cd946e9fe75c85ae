"""The accepted shape of each source, and the findings: how its payloads differ from that."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.services.loading import affected, is_id, require_rows

OPEN: Final = "open"
_SHAPE: Final = "select shape::text from source_shapes where source_id = $1::integer"
_PROFILE: Final = "select profile::text from schema_drift_events where id = $1::bigint"
_SAVE_SHAPE: Final = """
insert into source_shapes (source_id, shape, run_id, accepted_at)
values ($1::integer, $2::jsonb, $3::bigint, $4::timestamptz)
on conflict (source_id) do update
set shape = excluded.shape, run_id = excluded.run_id, accepted_at = excluded.accepted_at
"""
_STANDING: Final = """
select (select shape::text from source_shapes where source_id = $1::integer) as shape,
       (select jsonb_agg(jsonb_build_object('id', id, 'kind', kind, 'field', field, 'share', share, 'mapped', mapped,
                                            'policy', policy, 'state', state) order by id)
        from schema_drift_events
        where source_id = $1::integer and (state = 'open' or state = 'rejected' and kind = 'field_renamed')) as events
"""
_HELD_BACK: Final = """
select distinct field from rejected_records
where source_id = $1::integer and state = 'open' and code = 'drift' and field is not null order by field
"""
_SHOW: Final = """
select d.*, s.name as source from schema_drift_events d join sources s on s.id = d.source_id
"""
_PAGE: Final = f"""
{_SHOW} where ($1::text is null or s.name = $1) and ($2::text is null or d.kind = $2)
and ($3::text is null or d.state = $3) and ($4::bigint is null or d.id < $4)
order by d.id desc limit $5::integer
"""
_STORE: Final = """
insert into schema_drift_events as known (
    source_id, run_id, last_run_id, kind, field, expected, seen, share, confidence, parts, mapped, policy,
    first_example, last_example, profile, state, created_at, last_seen_at)
select $1::integer, $2::bigint, $2::bigint, kind, field, expected, seen, share, confidence, parts, mapped, policy,
       first_example, last_example, profile, 'open', $4::timestamptz, $4::timestamptz
from jsonb_to_recordset($3::jsonb) as found(
    kind text, field text, expected jsonb, seen jsonb, share double precision, confidence double precision,
    parts jsonb, mapped boolean, policy text, first_example text, last_example text, profile jsonb)
on conflict (source_id, kind, field) where state = 'open' do update
set last_run_id = excluded.last_run_id, last_seen_at = excluded.last_seen_at, seen = excluded.seen,
    share = excluded.share, confidence = excluded.confidence, parts = excluded.parts, mapped = excluded.mapped,
    policy = excluded.policy, profile = excluded.profile,
    first_example = coalesce(excluded.first_example, known.first_example),
    last_example = coalesce(excluded.last_example, known.last_example)
returning id, kind, field, run_id = $2::bigint as is_new
"""
_RENEW: Final = """
update schema_drift_events set last_run_id = $2::bigint, last_seen_at = $3::timestamptz
where id = any($1::bigint[]) and state = 'open'
"""
_CLOSE: Final = """
update schema_drift_events
set state = $2::text, closed_by = $3::text, reason = $4::text, closed_at = $5::timestamptz
where id = any($1::bigint[]) and state = 'open'
"""
_COUNT: Final = """
insert into metric_counters as known (name, source_id, label, value)
select 'drift_events_total', $1::integer, kind, count(*)::double precision from unnest($2::text[]) as kind group by kind
on conflict (name, source_id, label) do update set value = known.value + excluded.value
"""


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """A finding as it is stored. `state` is `open, accepted, rejected, gone`; `run_id` the first run that found it."""

    id: int
    source: str
    source_id: int
    run_id: int
    last_run_id: int | None
    kind: str
    field: str
    """A path; of a rename `old -> new`."""
    expected: dict[str, Any]
    seen: dict[str, Any]
    share: float
    confidence: float
    parts: dict[str, float]
    mapped: bool
    policy: str
    first_example: str | None
    last_example: str | None
    state: str
    created_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class FoundDrift:
    """A finding to store. Texts must be such as jsonb can hold."""

    kind: str
    field: str
    expected: dict[str, Any]
    seen: dict[str, Any]
    share: float
    confidence: float
    parts: dict[str, float]
    mapped: bool
    policy: str
    first_example: str | None
    last_example: str | None
    profile: dict[str, Any] | None = None
    """What `seen_fields` of ingestion/drift/accepted.py gives: accepting the finding needs it."""


@dataclass(frozen=True, slots=True)
class StandingEvent:
    """What a run needs to know of a finding that is open, or of a rename that was rejected."""

    id: int
    kind: str
    field: str
    share: float
    mapped: bool
    policy: str
    state: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a run is compared with: the accepted shape, open findings and rejected renames."""

    shape: dict[str, Any] | None
    events: tuple[StandingEvent, ...]


@dataclass(frozen=True, slots=True)
class StoredDrift:
    """The row that a finding went to; `is_new` where there was none open."""

    id: int
    kind: str
    field: str
    is_new: bool


async def accepted_shape(connection: Connection, source_id: int) -> dict[str, Any] | None:
    """The accepted shape, as `ingestion/drift/shape.py` reads it; None before the first run that was good."""
    found = await connection.fetchval(_SHAPE, source_id)
    return None if found is None else json.loads(found)


async def save_shape(
    connection: Connection, source_id: int, shape: dict[str, Any], *, run_id: int | None, at: datetime
) -> None:
    """Replace the accepted shape. Under the source's lock."""
    await connection.execute(_SAVE_SHAPE, source_id, json.dumps(shape), run_id, at)


async def standing(connection: Connection, source_id: int) -> Standing:
    """All that a run of the source is compared with, in one statement."""
    row = await connection.fetchrow(_STANDING, source_id)
    assert row is not None
    events = json.loads(row["events"] or "[]")
    shape = None if row["shape"] is None else json.loads(row["shape"])
    return Standing(shape, tuple(StandingEvent(**event) for event in events))


async def held_back(connection: Connection, source_id: int) -> frozenset[str]:
    """Fields for which open rejects of the source were quarantined."""
    return frozenset(row["field"] for row in await connection.fetch(_HELD_BACK, source_id))


async def open_findings(connection: Connection, source_id: int | None) -> list[DriftEvent]:
    """The open findings of a source, or of all, the oldest first."""
    condition = " where d.state = 'open' and ($1::integer is null or d.source_id = $1) order by d.id"
    return [_event(row) for row in await connection.fetch(_SHOW + condition, source_id)]


async def find(connection: Connection, event_id: int) -> DriftEvent:
    """One finding. Raises NotFoundError."""
    row = await connection.fetchrow(_SHOW + " where d.id = $1::bigint", event_id) if is_id(event_id) else None
    if row is None:
        raise NotFoundError(f"drift {event_id}: there is none of this number", hint="see `kasparro drift list`")
    return _event(row)


async def page(
    connection: Connection,
    *,
    source: str | None,
    kind: str | None,
    state: str | None,
    before: int | None,
    limit: int,
) -> list[DriftEvent]:
    """The newest findings first, with ids below `before` where that is given; None: whatever it is."""
    return [_event(row) for row in await connection.fetch(_PAGE, source, kind, state, before, limit)]


async def drift_of_run(connection: Connection, run_id: int) -> list[DriftEvent]:
    """The findings that a run was the first or is the last to have seen, by number."""
    if not is_id(run_id):
        return []
    condition = " where d.run_id = $1::bigint or d.last_run_id = $1::bigint order by d.id"
    return [_event(row) for row in await connection.fetch(_SHOW + condition, run_id)]


async def seen_profile(connection: Connection, event_id: int) -> dict[str, Any] | None:
    """What was kept with a finding of what the run has seen of its field, for accepting it; None where nothing was."""
    found = await connection.fetchval(_PROFILE, event_id)
    return None if found is None else json.loads(found)


async def store_findings(
    connection: Connection, source_id: int, run_id: int, findings: Sequence[FoundDrift], *, at: datetime
) -> list[StoredDrift]:
    """Record a run's findings; those that are open already are renewed. New ones are counted, once."""
    if not findings:
        return []
    told = json.dumps([asdict(finding) for finding in findings])
    rows = await connection.fetch(_STORE, source_id, run_id, told, at)
    stored = [StoredDrift(**dict(row)) for row in rows]
    kinds = [each.kind for each in stored if each.is_new]
    if kinds:
        await connection.execute(_COUNT, source_id, kinds)
    return stored


async def renew(connection: Connection, event_ids: Sequence[int], run_id: int, *, at: datetime) -> None:
    """Record that a run has met open findings again."""
    if event_ids:
        await connection.execute(_RENEW, list(event_ids), run_id, at)


async def close(
    connection: Connection, event_id: int, *, state: str, by: str, reason: str | None, at: datetime
) -> None:
    """Give an open finding its last state. Raises ConservationError when it is open no more."""
    status = await connection.execute(_CLOSE, [event_id], state, by, reason, at)
    require_rows("closing of schema_drift_events", affected(status), 1)


async def close_all(
    connection: Connection, event_ids: Sequence[int], *, state: str, by: str, reason: str | None, at: datetime
) -> None:
    """The same for those of several that are open."""
    if event_ids:
        await connection.execute(_CLOSE, list(event_ids), state, by, reason, at)


def _event(row: Any) -> DriftEvent:
    columns = dict(row)
    del columns["profile"]
    for name in ("expected", "seen", "parts"):
        columns[name] = json.loads(columns[name] or "{}")
    return DriftEvent(**columns)
