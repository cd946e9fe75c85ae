"""Runs: one execution of one source each, from its claim to its closing."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from kasparro.core.canonical import DIGEST_MODULUS
from kasparro.core.database import Connection
from kasparro.core.errors import QualityError
from kasparro.schemas.batches import OperationName
from kasparro.schemas.counters import Counters
from kasparro.services import anomalies, batches
from kasparro.services.loading import affected, require_rows

_INSERT = """
insert into etl_runs (source_id, trigger, state, pass_id, resumes_run_id, started_at, config_hash, mapping_version,
                      code_version, operation)
values ($1::integer, $2::text, 'running', $3::bigint, $4::bigint, $5::timestamptz, $6::text, $7::integer, $8::text,
        $9::text)
returning id
"""
_START = """
update etl_runs
set state = 'running', pass_id = $3::bigint, resumes_run_id = $4::bigint,
    started_at = $5::timestamptz, config_hash = $6::text, mapping_version = $7::integer, code_version = $8::text
where id = $1::bigint and source_id = $2::integer and state = 'queued' and operation is not distinct from $9::text
"""
_HISTORY = """
select max(r.started_at) filter (where newest.state not in ('running', 'interrupted', 'cancelled')) as started_at,
       count(*) filter (where r.state in ('failed', 'systemic') and r.id > coalesce(read.id, 0)) as failures
from sources s
left join lateral (
    select max(id) as id from etl_runs
    where source_id = s.id and operation is null
      and (state in ('succeeded', 'partial') or error_code = 'quality_check_failed')) read on true
left join lateral (
    select state from etl_runs
    where source_id = s.id and started_at is not null and operation is null order by id desc limit 1
) newest on true
left join etl_runs r on r.source_id = s.id and r.operation is null
where s.name = $1::text
"""
_HELD_UNTIL = """
select r.not_before from etl_runs r join sources s on s.id = r.source_id
where s.name = $1::text and r.started_at is not null and r.operation is null order by r.id desc limit 1
"""
_NEWEST = """
select max(id) as id, max(started_at) as started_at,
       bool_and(state not in ('running', 'interrupted', 'cancelled')) filter (where id = newest) as ended
from (select id, started_at, state, max(id) over () as newest
      from etl_runs
      where source_id = (select id from sources where name = $1::text) and started_at is not null and operation is null
      order by id desc limit 100) as begun
"""
_PLAN = "update etl_runs set plan = $2::jsonb, checkpoint_before = $3::jsonb where id = $1::bigint"
_UNFINISHED = """
select id from etl_runs where source_id = $1::integer and state = 'running' and finished_at is null order by id
"""
_FOLD_SOURCE = """
with recursive run as (
    select id, source_id, pass_id, operation from etl_runs where id = $1::bigint
), pass as (
    select id, resumes_run_id, started_at from etl_runs where id = $1::bigint
    union all
    select r.id, r.resumes_run_id, r.started_at from pass join etl_runs r on r.id = pass.resumes_run_id
), before as (
    select case r.error_code when 'quality_check_failed' then 'succeeded' else r.state end as state
    from etl_runs r join run on run.source_id = r.source_id
    where r.id < run.id and r.operation is null and r.state in ('succeeded', 'partial', 'failed', 'systemic')
    order by r.id desc limit 1
)
update sources set digest = mod(digest + $2::numeric, $3::numeric),
    last_success_at = case when reads and good then $5::timestamptz else last_success_at end,
    complete_at = case when reads and whole then (select min(started_at) from pass) else complete_at end,
    circuit_state = case
        when not reads then circuit_state
        when whole then 'closed'
        when bad and (select state from before) in ('failed', 'systemic') then 'open'
        when circuit_state = 'half_open' then 'open'
        else circuit_state end
from (
    select source_id, operation is null as reads, $4::boolean as good, $6::boolean as bad, $7::boolean as whole from run
) closing
where sources.id = closing.source_id
returning sources.digest
"""
_CLOSE = """
update etl_runs
set state = $2::text, finished_at = greatest($3::timestamptz, started_at), error_code = $4::text,
    error_message = $5::text,
    digest = $6::numeric, batches = $7, fetched = $8, inserted = $9, updated = $10, unchanged = $11, duplicate = $12,
    rejected = $13, filtered = $14, deleted = $15, raw_written = $16, not_before = $17::timestamptz,
    size_bytes = $18, stage_seconds = $19::jsonb,
    last_raw_id = (select case when is_called then last_value else 0 end from raw_id_seq),
    coverage = (
        select jsonb_object_agg(partition, coverage) from etl_checkpoints c
        where c.source_id = etl_runs.source_id and c.scope = '' and c.lane = -1 and c.pass_id = etl_runs.pass_id),
    checkpoint_after = (
        select jsonb_object_agg(partition || '#' || lane, jsonb_build_object('ordinal', ordinal, 'cursor', cursor))
        from etl_checkpoints c
        where c.source_id = etl_runs.source_id and c.scope = coalesce(etl_runs.plan ->> 'scope', ''))
where id = $1::bigint and finished_at is null
returning extract(epoch from finished_at - started_at)::double precision as seconds, operation
"""
_COUNT = """
insert into metric_counters as known (name, source_id, label, value)
select name, (select source_id from etl_runs where id = $1::bigint), label, value::double precision
from unnest($2::text[], $3::text[], $4::text[]) as counted(name, label, value)
on conflict (name, source_id, label) do update set value = known.value + excluded.value
"""
_MAPPING = """
with made as (
    insert into mapping_versions (hash, mapping) values ($1::text, $2::jsonb)
    on conflict (hash) do nothing returning id)
select id from made union all select id from mapping_versions where hash = $1::text limit 1
"""
_LAST_MAPPING = """
select mapping_version from etl_runs
where source_id = $1::integer and (operation is null or operation = 'replay' and state in ('succeeded', 'partial'))
order by id desc limit 1
"""
_SUCCESSES = ("succeeded", "partial")
_FAILURES = ("failed", "systemic")
BROKEN_OFF: Final = frozenset({"running", "interrupted", "cancelled"})
"""Runs that have begun and did not end by themselves: what they left is to be read by the next one, soon."""
TIMED_STATES: Final = ("succeeded", "partial", "failed", "systemic")
"""Runs that ended by themselves: an interrupted one is closed by its successor, whenever that comes."""
DURATION_BOUNDS: Final = ("0.1", "0.5", "1", "5", "10", "30", "60", "300", "900", "3600", "14400")
"""Upper bounds of the durations' histogram, in seconds, as Prometheus writes them."""


async def mapping_version(connection: Connection, hash_: str, mapping: str) -> int:
    """The id of a mapping, recorded when it is new. `mapping` is its canonical JSON text."""
    version = await connection.fetchval(_MAPPING, hash_, mapping)
    if version is None:  # another session committed the same mapping between the two halves of the statement
        version = await connection.fetchval(_MAPPING, hash_, mapping)
    return int(version)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run when it is claimed."""

    source_id: int
    trigger: str
    pass_id: int
    resumes_run_id: int | None
    started_at: datetime
    config_hash: str
    mapping_version: int
    code_version: str
    operation: OperationName | None = None


async def insert(connection: Connection, run: NewRun) -> int:
    """A new running run; returns its id. In the claim's transaction."""
    return int(await connection.fetchval(_INSERT, *astuple(run)))


async def start_queued(connection: Connection, run_id: int, run: NewRun) -> bool:
    """Make a queued run the running one; False when it is queued no more. In the claim's transaction.

    What it was triggered by stays.
    """
    source_id, _, *started = astuple(run)
    return affected(await connection.execute(_START, run_id, source_id, *started)) == 1


async def history(connection: Connection, source: str) -> tuple[datetime | None, int]:
    """When the source's newest run began, and how many have failed since the last one that read it to its end.

    None for the time also when that run was broken off, by a stop or a death: what it left is to be read at once, not a
    day later. (Should it live, in another process, its lock says so.)
    """
    row = await connection.fetchrow(_HISTORY, source)
    return (None, 0) if row is None else (row["started_at"], int(row["failures"]))


async def held_until(connection: Connection, source: str) -> datetime | None:
    """When the source may be asked again by what its server said as the newest run ended, if it said so."""
    until: datetime | None = await connection.fetchval(_HELD_UNTIL, source)
    return until


@dataclass(frozen=True, slots=True)
class Newest:
    """The runs of a source that have begun, in so far as one more run changes it; `ended`: the newest by itself."""

    id: int | None
    started_at: datetime | None
    ended: bool | None


async def newest(connection: Connection, source: str) -> Newest:
    """What has begun up to now; under the source's lock, nothing begins meanwhile."""
    row = await connection.fetchrow(_NEWEST, source)
    assert row is not None
    return Newest(row["id"], row["started_at"], row["ended"])


async def save_plan(
    connection: Connection, run_id: int, plan: Mapping[str, Any], checkpoint_before: Mapping[str, Any]
) -> None:
    """What the run is going to read, and where it stood before."""
    status = await connection.execute(_PLAN, run_id, json.dumps(plan), json.dumps(checkpoint_before))
    require_rows("update of etl_runs", affected(status), 1)


async def unfinished(connection: Connection, source_id: int) -> list[int]:
    """Ids of runs marked running. Whoever holds the source's lock knows that they are dead."""
    return [int(row["id"]) for row in await connection.fetch(_UNFINISHED, source_id)]


async def last_mapping_version(connection: Connection, source_id: int) -> int | None:
    """The mapping by which the source was last read or replayed, if it ever was."""
    version: int | None = await connection.fetchval(_LAST_MAPPING, source_id)
    return version


async def close(
    connection: Connection,
    run_id: int,
    *,
    state: str,
    at: datetime,
    error: tuple[str, str] | None = None,
    not_before: datetime | None = None,
) -> Counters:
    """Fold the run's batches into its row, its source's digest and the metric counters, and set its final state.

    State `succeeded` becomes `partial` when records were rejected. The equations are the caller's to check. The
    scheduler begins no further run of the source before `not_before`.
    """
    counters, count, delta = await batches.sums(connection, run_id)
    final = "partial" if state == "succeeded" and counters.rejected else state
    code, message = error or (None, None)
    good, whole = final in _SUCCESSES, final in _SUCCESSES or code == QualityError.code
    digest = await connection.fetchval(
        _FOLD_SOURCE, run_id, Decimal(delta), Decimal(DIGEST_MODULUS), good, at, final in _FAILURES, whole
    )
    outcomes = counters.outcomes()
    size_bytes, stage_seconds = await batches.effort(connection, run_id)
    closed = await connection.fetch(
        _CLOSE, run_id, final, at, code, message, digest, count, counters.fetched, *outcomes.values(),
        counters.raw_written, not_before, size_bytes, json.dumps(stage_seconds),
    )  # fmt: skip
    require_rows("closing of etl_runs", len(closed), 1)
    counted = [("runs_total", final, 1.0), *(("records_total", name, count) for name, count in outcomes.items())]
    counted.extend(("stage_seconds_total", name, seconds) for name, seconds in stage_seconds.items())
    if final in TIMED_STATES:
        counted.extend(_durations(float(closed[0]["seconds"])))
    await _count(connection, run_id, counted)
    if final in _SUCCESSES and closed[0]["operation"] is None:
        await anomalies.judge_closed(connection, run_id)
    return counters


async def _count(connection: Connection, run_id: int, counted: list[tuple[str, str, float]]) -> None:
    """Add to the metric counters of the run's source: name, label and value of each.

    Values go as text: for other arrays the driver asks each new connection's catalog about their type, for 10 ms.
    """
    names, labels, values = zip(*counted, strict=True)
    await connection.execute(_COUNT, run_id, names, labels, [repr(value) for value in values])


def _durations(seconds: float) -> list[tuple[str, str, float]]:
    bound = next((bound for bound in DURATION_BOUNDS if seconds <= float(bound)), "+Inf")
    return [("run_duration_seconds_bucket", bound, 1.0), ("run_duration_seconds_sum", "", seconds)]
