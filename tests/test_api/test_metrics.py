"""`/metrics`: the format, what the database counts, what this process answered, and a database that is away."""

import asyncio
import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from kasparro import __version__
from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.schemas.quality import QualityResult
from kasparro.services import quality
from tests.test_api.operating import operator, write_history

ROW = re.compile(r"^\| `(kasparro_[a-z_]+)` \| (gauge|counter|histogram) \| (.*?) \|", re.MULTILINE)
"""A metric in the table of docs/metrics.md: name, type, labels."""
FACTS = """
update sources set circuit_state = 'open', interval_seconds = 300, complete_at = now() - interval '1 hour'
where name = 'quakes';
insert into metric_counters (name, source_id, label, value)
select v.name, s.id, v.label, v.value
from sources s cross join (values
    ('stage_seconds_total', 'store', 2.5), ('http_client_requests_total', '2xx', 3),
    ('http_client_request_duration_seconds_bucket', '0.05', 2),
    ('http_client_request_duration_seconds_bucket', '2.5', 1), ('http_client_request_duration_seconds_sum', '', 1.5),
    ('rate_limit_wait_seconds_total', '', 0.25), ('retries_total', 'status_429', 2),
    ('rejected_open', 'bad#', 6), ('rejected_open', 'bad#1', -2), ('drift_events_total', 'field_added', 5)
) v(name, label, value) where s.name = 'quakes';
insert into schema_drift_events (source_id, run_id, kind, field, expected, seen, share, confidence, state)
select id, 1, 'field_added', field, '{}', '{}', 1, 1, state
from sources cross join (values ('a', 'open'), ('b', 'open'), ('c', 'gone')) v(field, state) where name = 'quakes';
insert into workers (name) values ('here:1');
insert into run_anomalies (run_id, source_id, measure, expected_low, expected_high, seen, score, message)
select r.id, r.source_id, 'volume', 1, 2, 9, 7.5, 'far more than usual'
from etl_runs r join sources s on s.id = r.source_id
where s.name = 'quakes' and r.state in ('succeeded', 'partial') order by r.id desc limit 1;
"""
"""What the rows say that runs, schedulers and the database itself write."""

FAILED = QualityResult(1, "enough", "warn", False, 0, 0, None, "too few", (), {}, "")


async def write_facts(connection: Connection) -> None:
    """Those, and a quality check that has failed."""
    await write_history(connection)
    await connection.execute(FACTS)
    row = await connection.fetchrow("""
        select r.id, r.source_id from etl_runs r join sources s on s.id = r.source_id
        where s.name = 'quakes' and r.finished_at is not null order by r.id desc limit 1
    """)
    assert row is not None
    await quality.save(connection, row["id"], row["source_id"], [FAILED])


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(client: httpx.AsyncClient) -> tuple[Samples, dict[str, str]]:
    """Samples by name and labels, and the type of each family."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(response.text))
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples)
    assert all(family.documentation for family in families)
    return found, {family.name: family.type for family in families}


async def test_runs_are_counted_from_the_database(client: httpx.AsyncClient, connection: Connection) -> None:
    await write_history(connection)
    samples, _ = await scraped(client)
    quakes = ("source", "quakes")
    assert samples["kasparro_build_info", (("version", __version__),)] == 1
    assert samples["kasparro_database_up", ()] == 1
    assert samples["kasparro_runs_total", (quakes, ("status", "partial"))] == 1
    assert samples["kasparro_runs_total", (("source", "news"), ("status", "failed"))] == 1
    assert samples["kasparro_records_total", (("outcome", "inserted"), quakes)] == 5
    assert samples["kasparro_source_last_success_timestamp_seconds", (quakes,)] == 1767225602
    assert ("kasparro_source_last_success_timestamp_seconds", (("source", "news"),)) not in samples
    buckets = [
        samples["kasparro_run_duration_seconds_bucket", (("le", bound), quakes)] for bound in ("1", "5", "10", "+Inf")
    ]
    assert buckets == [0, 2, 2, 2]
    assert samples["kasparro_run_duration_seconds_count", (quakes,)] == 2
    assert samples["kasparro_run_duration_seconds_sum", (quakes,)] == 6


async def test_every_metric_is_documented_with_its_type_and_labels_and_no_other(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    """Against the page itself: a metric that is added, dropped or renamed shows here."""
    await write_facts(connection)
    await client.get("/runs")
    samples, types = await scraped(client)
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = {name: (kind, labels) for name, kind, labels in ROW.findall(page)}
    shown = {f"{name}_total" if kind == "counter" else name: kind for name, kind in types.items()}
    assert {name: kind for name, (kind, _) in documented.items()} == shown
    for name, labels in samples:
        family = re.sub("_(bucket|sum|count)$", "", name) if name not in documented else name
        found = {label for label, _ in labels} - {"le"}
        assert found == set(re.findall("`([a-z_]+)`", documented[family][1])), name
    sampled = {re.sub("_(bucket|sum|count)$", "", name) if name not in documented else name for name, _ in samples}
    assert sampled == set(documented)


async def test_facts_of_sources_come_from_small_rows(client: httpx.AsyncClient, connection: Connection) -> None:
    await write_facts(connection)
    samples, _ = await scraped(client)
    quakes = ("source", "quakes")
    assert samples["kasparro_stage_seconds_total", (quakes, ("stage", "store"))] == 2.5
    assert samples["kasparro_http_client_requests_total", (quakes, ("status_class", "2xx"))] == 3
    assert samples["kasparro_http_client_request_duration_seconds_count", (quakes,)] == 3
    assert samples["kasparro_http_client_request_duration_seconds_bucket", (("le", "0.1"), quakes)] == 2
    assert samples["kasparro_http_client_request_duration_seconds_sum", (quakes,)] == 1.5
    assert samples["kasparro_rate_limit_wait_seconds_total", (quakes,)] == 0.25
    assert samples["kasparro_retries_total", (("reason", "status_429"), quakes)] == 2
    assert samples["kasparro_rejected_open", (("code", "bad"), quakes)] == 4
    assert samples["kasparro_circuit_state", (quakes,)] == 2
    assert samples["kasparro_source_stale_after_seconds", (quakes,)] == 900
    assert ("kasparro_source_stale_after_seconds", (("source", "news"),)) not in samples
    assert 3600 <= samples["kasparro_checkpoint_lag_seconds", (quakes,)] < 3700
    assert samples["kasparro_drift_open", (("kind", "field_added"), quakes)] == 2
    assert samples["kasparro_runs_active", (quakes, ("state", "queued"))] == 0
    assert samples["kasparro_workers", ()] == 1


async def test_requests_are_timed_by_route_and_not_by_path(client: httpx.AsyncClient, connection: Connection) -> None:
    await write_history(connection)
    for path in ("/runs/1", "/runs/2", "/runs/99", "/nowhere/at/all"):
        await client.get(path)
    await client.head("/runs/1")
    await client.request("BREW", "/runs/1")
    await client.post("/runs", headers=await operator(connection))
    samples, _ = await scraped(client)
    counted = {
        tuple(value for _, value in labels): value
        for (name, labels), value in samples.items()
        if name == "kasparro_http_server_request_duration_seconds_count"
    }
    assert counted == {
        ("GET", "200", "/runs/{id}"): 2,
        ("GET", "404", "/runs/{id}"): 1,
        ("GET", "404", ""): 1,
        ("HEAD", "200", "/runs/{id}"): 1,
        ("POST", "202", "/runs"): 1,
        ("_OTHER", "405", "/runs/{id}"): 1,
    }


async def test_a_source_name_cannot_break_the_format(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute(
        "insert into sources (name, type, identity, config_hash, last_success_at) values ($1, 'csv', '{}', '', now())",
        'a"\\\n} 1\nb',
    )
    samples, _ = await scraped(client)
    assert ("kasparro_source_last_success_timestamp_seconds", (("source", 'a"\\\n} 1\nb'),)) in samples


async def test_a_database_that_hangs_is_said_in_time(database: ConnectionOptions, client: httpx.AsyncClient) -> None:
    blocker = await connect(database, application_name="kasparro:test-blocker")
    async with asyncio.timeout(10), blocker.transaction():
        await blocker.execute("lock table alembic_version in access exclusive mode")
        samples, types = await scraped(client)
    await blocker.close()
    assert samples["kasparro_database_up", ()] == 0
    assert "kasparro_runs" not in types


async def test_tables_of_another_version_are_left_alone(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update alembic_version set version_num = '9999'")
    assert (await scraped(client))[0]["kasparro_database_up", ()] == 0


async def test_two_applications_count_for_themselves(client: httpx.AsyncClient, pool: object) -> None:
    await client.get("/runs")
    other = create_app(pool)  # pyright: ignore[reportArgumentType]
    transport = httpx.ASGITransport(other)
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as second:
        samples, _ = await scraped(second)
    assert not [name for name, _ in samples if "http_server" in name]
