"""Rejected records: one row for each reason why a payload did not pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.batches import RejectReason, RunStamp
from kasparro.services import raw_rows
from kasparro.services.loading import is_id

_RESOLVE = """
update rejected_records
set state = 'resolved', resolved_at = $2::timestamptz, resolution = $4::text
where id = any(array(
    select known.id
    from unnest($3::text[]) as loaded(record_key) cross join lateral (
        select id from rejected_records
        where source_id = $1::integer and state = 'open' and record_key = loaded.record_key offset 0) known))
"""

_SETTLE = """
update rejected_records set state = $3::text, resolution = $4::text, resolved_at = $5::timestamptz
where source_id = $1::integer and state = 'open' and raw_id = any($2::bigint[])
"""

_SETTLE_UNFINISHED = """
update rejected_records set state = 'resolved', resolution = 'reread', resolved_at = $5::timestamptz
where source_id = $1::integer and state = 'open' and code = any($4::text[])
  and starts_with(locator, $3::text || ':') and substr(locator, length($3::text) + 2) ~ '^[0-9]+$'
  and run_id not in (select id from etl_runs where source_id = $1::integer and pass_id = $2::bigint)
"""

_HAS_OPEN = """
select exists(select from rejected_records where source_id = $1::integer and state = 'open' and record_key is not null)
"""

_RECORD = """
insert into rejected_records as known (
    source_id, run_id, code, field, message, record_key, content_hash, raw_id, locator, first_seen_at, last_seen_at,
    last_ordinal, times, state, resolved_at, resolution)
select $1::integer, $2::bigint, reason.code, reason.field, reason.message, reason.record_key, reason.content_hash,
       coalesce(reason.raw_id, (select min(r.raw_id) from rejected_records r
                           where r.source_id = $1 and r.content_hash = reason.content_hash)),
       reason.locator, $3::timestamptz,
       coalesce(sight.last_seen_at, newer.last_seen_at, $3::timestamptz),
       coalesce(sight.last_ordinal, newer.before, reason.last_ordinal), reason.times,
       case when reason.loads_later then 'resolved' else 'open' end,
       case when reason.loads_later then $3::timestamptz end,
       case when reason.loads_later then 'loaded' end
from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::bigint[],
            $12::boolean[], $14::bigint[])
         as reason(raw_id, code, field, message, record_key, content_hash, locator, times, loads_later, last_ordinal)
     left join lateral (
         select r.last_seen_at, r.last_ordinal from rejected_records r
         where $13::boolean and r.source_id = $1 and r.content_hash = reason.content_hash
         order by r.last_seen_at desc, r.last_ordinal desc limit 1) sight on true
     left join lateral (
         select r.last_seen_at, -1 as before from rejected_records r
         where $13::boolean and r.source_id = $1 and r.state = 'open' and r.record_key = reason.record_key
         order by r.last_seen_at limit 1) newer on true
on conflict (source_id, content_hash, code, field) do update
set times = known.times + case when $13 then 0 else excluded.times end,
    last_seen_at = excluded.last_seen_at, last_ordinal = excluded.last_ordinal,
    run_id = excluded.run_id,
    message = excluded.message, locator = excluded.locator, record_key = excluded.record_key,
    state = case when known.state = 'dropped' then known.state else excluded.state end,
    resolved_at = case when known.state = 'dropped' then known.resolved_at else excluded.resolved_at end,
    resolution = case when known.state = 'dropped' then known.resolution else excluded.resolution end
"""

_SHOW = """
select r.id, s.name as source, s.type as source_type, r.run_id, r.state, r.code, r.field, r.message, r.record_key,
       r.locator, r.times, r.first_seen_at, r.last_seen_at, r.resolved_at, r.resolution, r.raw_id
from rejected_records r join sources s on s.id = r.source_id
where r.id = $1::bigint
"""


async def has_open(connection: Connection, source_id: int) -> bool:
    """Whether any reject with a key waits for that key to load."""
    return bool(await connection.fetchval(_HAS_OPEN, source_id))


async def resolve(
    connection: Connection, source_id: int, at: datetime, keys: Sequence[str], *, resolution: str = "loaded"
) -> None:
    """Resolve the open rejects of keys that have loaded, or are deleted. Before `record`, which may open them again."""
    if keys:
        await connection.execute(_RESOLVE, source_id, at, keys, resolution)


async def settle(
    connection: Connection, source_id: int, raw_ids: Sequence[int], state: str, resolution: str, at: datetime
) -> None:
    """Give the open rejects of these raw rows another state, and say why."""
    if raw_ids:
        await connection.execute(_SETTLE, source_id, raw_ids, state, resolution, at)


async def settle_unfinished(
    connection: Connection, stamp: RunStamp, partition: str, codes: Sequence[str], at: datetime
) -> None:
    """Resolve the open rejects by these codes whose place in the partition this pass read and did not reject so."""
    await connection.execute(_SETTLE_UNFINISHED, stamp.source_id, stamp.pass_id, partition, codes, at)


async def record(
    connection: Connection,
    reasons: Sequence[RejectReason],
    raw_ids: Mapping[bytes, int],
    stamp: RunStamp,
    at: datetime,
) -> None:
    """Write the batch's reasons, already merged by payload, code and field. To judge a raw row again adds no `times`,
    and is not to see it: one that was not rejected before stood as a record, older than what is open under its key.
    One that was dropped stays so.

    `raw_ids` are those of payloads that the batch stores, by content hash; one seen before adds to `times` and points
    at its first raw row. A reason whose key loads later in the same batch is resolved at once.
    """
    columns = [
        [getattr(reason, name) for reason in reasons]
        for name in ("code", "field", "message", "record_key", "content_hash", "locator", "times", "loads_later")
    ]
    ids = [raw_ids.get(reason.content_hash) for reason in reasons]
    ordinals = [reason.last_ordinal for reason in reasons]
    await connection.execute(_RECORD, stamp.source_id, stamp.run_id, at, ids, *columns, stamp.from_raw, ordinals)


async def find(connection: Connection, reject_id: int) -> dict[str, Any]:
    """One reject, with its source's name; `payload` is the JSON text that was rejected. Raises NotFoundError.

    `payload` is None when the raw row is there no more.
    """
    row = await connection.fetchrow(_SHOW, reject_id) if is_id(reject_id) else None
    if row is None:
        raise NotFoundError(f"reject {reject_id}: there is none of this number", hint="see `kasparro rejects list`")
    raw = (await raw_rows.payloads(connection, row["source_type"], [row["raw_id"]])).get(row["raw_id"])
    return {**dict(row), "payload": raw and raw.payload}
