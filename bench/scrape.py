"""`GET /metrics` beside an empty and a full database: what a scrape costs must not depend on what is loaded.

python -m bench.scrape --records 2000000 --json scrape.json     (DATABASE_URL, or an embedded server of its own)

Rows are made by the database itself: `--records` of `unified_data`, a tenth as many raw payloads, a hundredth as many
open rejects, and 20,000 runs of 20 sources. Then the application is asked for the page, one answer after another.
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from bench.server import on_a_server

from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, connect, create_pool
from kasparro.core.logging import configure_logging
from kasparro.services.migrations import upgrade

GOAL_SECONDS = 0.02
SOURCES, RUNS = 20, 20_000
_EMPTY = "truncate sources, unified_data, rejected_records, etl_runs, etl_run_batches, metric_counters cascade"
_SOURCES = """
insert into sources (name, type, identity, config_hash, last_success_at, interval_seconds)
select 'source' || n, 'csv', '{}', '', now(), 300 from generate_series(1, $1::integer) n
"""
_RUNS = """
insert into etl_runs (source_id, trigger, state, started_at, finished_at)
select s.id, 'schedule', 'succeeded', now() - n * interval '5 minutes', now() - n * interval '5 minutes'
from sources s cross join generate_series(1, $1::integer) n
"""
_COUNTERS = """
insert into metric_counters (name, source_id, label, value)
select metric, s.id, label, 1
from sources s cross join (values
    ('runs_total', array['succeeded', 'partial', 'failed', 'interrupted']),
    ('records_total', array['inserted', 'updated', 'unchanged', 'duplicate', 'rejected', 'filtered', 'deleted']),
    ('stage_seconds_total', array['read', 'transform', 'store']),
    ('run_duration_seconds_bucket', array['1', '5', '+Inf']),
    ('run_duration_seconds_sum', array['']), ('http_client_requests_total', array['2xx', '3xx', '5xx', 'error']),
    ('http_client_request_duration_seconds_bucket', array['0.1', '0.5', '1', '+Inf']),
    ('http_client_request_duration_seconds_sum', array['']), ('rate_limit_wait_seconds_total', array['']),
    ('retries_total', array['status_429', 'status_503', 'timeout'])) v(metric, labels)
    cross join unnest(labels) as label
"""
_RECORDS = """
insert into unified_data (source_id, record_key, title, attributes, content_hash, record_hash, raw_id, run_id, pass_id,
                          mapping_version, first_seen_at, last_changed_at)
select n % $2::integer + (select min(id) from sources), 'key' || n, 'record ' || n, '{"a": 1}', '\\x00', '\\x00', n, 1,
       1, 1, now(), now()
from generate_series(1, $1::bigint) n
"""
_RAW = """
insert into raw_csv_data (source_id, run_id, record_key, payload, content_hash, locator, fetched_at)
select (select min(id) from sources), 1, 'key' || n, '{"a": 1, "b": "text"}', '\\x00', 'file:' || n, now()
from generate_series(1, $1::bigint) n
"""
_REJECTS = """
insert into rejected_records (source_id, run_id, code, message, content_hash, raw_id, locator, first_seen_at,
                              last_seen_at)
select (select min(id) from sources), 1, 'value', 'no number', decode(md5(n::text), 'hex'), n, 'file:' || n, now(),
       now()
from generate_series(1, $1::bigint) n
"""


async def scraped(options: ConnectionOptions, times: int) -> dict[str, float]:
    """Median and 99th percentile of so many answers, one after another, after some to warm up."""
    pool = await create_pool(options, application_name="kasparro:bench", max_size=2)
    transport = httpx.ASGITransport(create_app(pool))
    seconds = list[float]()
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
        for number in range(times + 20):
            started = time.perf_counter()
            page = await client.get("/metrics")
            if number >= 20:
                seconds.append(time.perf_counter() - started)
            if "kasparro_database_up 1.0" not in page.text:
                raise RuntimeError(page.text)
    await pool.close()
    return {"median": statistics.median(seconds), "p99": statistics.quantiles(seconds, n=100)[98]}


async def fill(connection: Connection, records: int) -> None:
    """As much as there would be."""
    await connection.execute(_RECORDS, records, SOURCES)
    await connection.execute(_RAW, records // 10)
    await connection.execute(_REJECTS, records // 100)
    await connection.execute("analyze")


async def measure(options: ConnectionOptions, records: int, times: int) -> dict[str, Any]:
    """The same twenty sources with 20,000 runs, without and with records."""
    await upgrade(options)
    connection = await connect(options, application_name="kasparro:bench")
    await connection.execute(_EMPTY)
    await connection.execute(_SOURCES, SOURCES)
    await connection.execute(_RUNS, RUNS // SOURCES)
    await connection.execute(_COUNTERS)
    await connection.execute("analyze")
    empty = await scraped(options, times)
    await fill(connection, records)
    full = await scraped(options, times)
    await connection.close()
    return {"records": records, "sources": SOURCES, "runs": RUNS, "empty": empty, "full": full, "goal": GOAL_SECONDS}


def main() -> None:
    configure_logging("WARNING", service="bench")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = asyncio.run(on_a_server(lambda options: measure(options, chosen.records, chosen.times)))
    for name in ("empty", "full"):
        print(f"{name}: median {found[name]['median'] * 1000:.1f} ms, p99 {found[name]['p99'] * 1000:.1f} ms")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
