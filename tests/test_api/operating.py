"""What tests of `/runs`, `/sources`, `/stats` and `/metrics` share: a history of runs, and a key that may operate."""

from typing import Any

from kasparro.core.api_keys import make_key
from kasparro.core.database import Connection
from kasparro.services import keys, workers

HISTORY = """
insert into sources (name, type, identity, config_hash, last_success_at, created_at)
values ('quakes', 'csv', '{"type": "csv", "key": ["id"]}', 'c', '2026-01-01T00:00:02Z', '2026-01-01T00:00:00Z'),
       ('news', 'rss', '{"type": "rss"}', 'c', null, '2026-01-01T00:00:00Z');
insert into mapping_versions (hash, mapping) values ('m1', '{}');
insert into etl_runs (
    source_id, trigger, state, pass_id, queued_at, started_at, finished_at, config_hash, mapping_version, code_version,
    plan, checkpoint_before, checkpoint_after, digest, error_code, error_message, batches, fetched, inserted, updated,
    rejected, raw_written)
select s.id, v.trigger, v.state, 7, '2026-01-01T00:00:00Z', v.started::timestamptz, v.finished::timestamptz, 'c', 1,
       '0.1', '{"partitions": ["p"]}', '{}',
       '{"https://x.example/f?token=hidden#0": {"ordinal": 5, "cursor": {"page": 2, "api_key": "hidden"}}}',
       255, v.code, v.message, v.batches, v.fetched, v.inserted, v.updated, v.rejected, v.fetched
from (values
    (1, 'quakes', 'schedule', 'succeeded', '2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z', null, null, 2, 5, 4, 1, 0),
    (2, 'news', 'api', 'failed', '2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z', 'upstream',
     'https://user:pass@feed.example.org/x?token=abcdef: HTTP 500', 0, 0, 0, 0, 0),
    (3, 'quakes', 'cli', 'partial', '2026-01-03T00:00:00Z', '2026-01-03T00:00:04Z', null, null, 1, 3, 1, 1, 1),
    (4, 'quakes', 'schedule', 'interrupted', '2026-01-04T00:00:00Z', '2026-01-05T00:00:00Z', 'interrupted', 'died', 0,
     0, 0, 0, 0)
) v(position, source, trigger, state, started, finished, code, message, batches, fetched, inserted, updated, rejected)
join sources s on s.name = v.source order by v.position;
insert into etl_run_batches (run_id, partition, lane, seq, ordinal, fetched, inserted, updated, size_bytes,
                             stage_seconds, digest_delta)
values (1, 'p', 0, 1, 3, 3, 3, 0, 100, '{"fetch": 0.5, "store": 0.25}', 0),
       (1, 'p', 0, 2, 5, 2, 1, 1, 50, '{"fetch": 0.25, "transform": 1}', 0);
insert into metric_counters (name, source_id, label, value)
select v.name, s.id, v.label, v.value
from (values ('quakes', 'runs_total', 'succeeded', 1), ('quakes', 'runs_total', 'partial', 1),
             ('quakes', 'runs_total', 'interrupted', 1), ('news', 'runs_total', 'failed', 1),
             ('quakes', 'records_total', 'inserted', 5), ('quakes', 'records_total', 'updated', 2),
             ('quakes', 'records_total', 'rejected', 1), ('news', 'records_total', 'inserted', 0),
             ('quakes', 'run_duration_seconds_bucket', '5', 2), ('quakes', 'run_duration_seconds_sum', '', 6),
             ('news', 'run_duration_seconds_bucket', '1', 1), ('news', 'run_duration_seconds_sum', '', 1)
) v(source, name, label, value) join sources s on s.name = v.source
"""
"""Four runs of two sources, as they would have been written; ids from 1 on."""


async def write_history(connection: Connection) -> None:
    await connection.execute(HISTORY)


async def operator(connection: Connection) -> dict[str, str]:
    """Headers of a caller that may operate; and a scheduler has just asked for runs."""
    key = make_key()
    await keys.insert(connection, key, name="operator", scope="operate", expires_at=None)
    await workers.join(connection, "a-scheduler:1")
    return {"Authorization": f"Bearer {key.text}"}


async def stored_runs(connection: Connection) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "select r.id, s.name as source, r.state, r.trigger, r.idempotency_key as key "
        "from etl_runs r join sources s on s.id = r.source_id order by r.id"
    )
    return [dict(row) for row in rows]
