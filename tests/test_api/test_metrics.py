"""`/metrics`: the format, what the database counts, what this process answered, and a database that is away."""

import asyncio
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from kasparro import __version__
from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, connect
from tests.test_api.operating import operator, write_history

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
    samples, types = await scraped(client)
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
    assert types == {
        "kasparro_build_info": "gauge",
        "kasparro_database_up": "gauge",
        "kasparro_http_server_request_duration_seconds": "histogram",
        "kasparro_runs": "counter",
        "kasparro_records": "counter",
        "kasparro_source_last_success_timestamp_seconds": "gauge",
        "kasparro_run_duration_seconds": "histogram",
    }


async def test_every_metric_is_documented(client: httpx.AsyncClient, connection: Connection) -> None:
    await write_history(connection)
    await client.get("/runs")
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for name, kind in (await scraped(client))[1].items():
        assert f"| `{name}{'_total' if kind == 'counter' else ''}` | {kind} |" in page


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
