"""`GET /health`: 200 when all is well, 503 with what is wrong otherwise, always within a bounded time."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from kasparro import __version__
from kasparro.api.app import create_app
from kasparro.api.options import ApiOptions
from kasparro.core.database import Connection, ConnectionOptions, Pool, connect, create_pool
from kasparro.services.migrations import upgrade
from tests.fix_database import LOCK_WAITERS, OwnServer
from tests.test_api.operating import operator


@asynccontextmanager
async def client_over(options: ConnectionOptions) -> AsyncGenerator[tuple[httpx.AsyncClient, Pool]]:
    """A client of an application over another database."""
    pool = await create_pool(options, application_name="kasparro:test-health", max_size=2)
    transport = httpx.ASGITransport(create_app(pool))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
            yield client, pool
    finally:
        pool.terminate()


async def test_a_fresh_database_is_healthy(client: httpx.AsyncClient) -> None:
    response = await client.get("/health", headers={"X-Request-ID": "h1"})
    report = response.json()
    assert response.status_code == 200
    assert report["status"] == "ok"
    assert report["database"]["reachable"] is True
    assert report["database"]["latency_ms"] > 0
    assert report["migrations"]["up_to_date"] is True
    assert report["sources"] == []
    assert report["request_id"] == "h1"


async def test_each_source_shows_its_latest_run(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("""
        insert into sources (name, type, identity, config_hash, last_success_at, interval_seconds)
        values ('quakes', 'csv', '{}', '', '2026-01-01T00:00:00Z', 300), ('news', 'rss', '{}', '', null, null);
        insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code)
        select id, 'command', 'succeeded', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', null
        from sources where name = 'quakes';
        insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code)
        select id, 'command', 'failed', '2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z', 'source'
        from sources where name = 'quakes'
    """)
    report = (await client.get("/health")).json()
    news, quakes = report["sources"]
    assert news["age_seconds"] < 60
    assert quakes.pop("age_seconds") > 86_400
    assert {**news, "age_seconds": 0} == {
        "name": "news", "type": "rss", "last_success_at": None, "last_run": None, "age_seconds": 0,
        "stale_after_seconds": None, "freshness": "unscheduled", "circuit_state": "closed",
    }  # fmt: skip
    assert quakes == {
        "name": "quakes",
        "type": "csv",
        "last_success_at": "2026-01-01T00:00:00Z",
        "stale_after_seconds": 900,
        "freshness": "stale",
        "circuit_state": "closed",
        "last_run": {
            "id": 2,
            "state": "failed",
            "started_at": "2026-01-02T00:00:00Z",
            "finished_at": "2026-01-02T00:00:01Z",
            "error_code": "source",
        },
    }
    stale, failed = report["warnings"]
    assert stale.startswith("quakes: no success for ")
    assert stale.endswith(" d, where its schedule allows 15 min") or " h, where its schedule allows 15 min" in stale
    assert failed == "quakes: the last run failed (source); see /runs/2"
    assert (report["status"], report["disk"]) == ("ok", None)


async def test_a_circuit_that_is_open_is_said_once_and_changes_no_status(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    await connection.execute("""
        insert into sources (name, type, identity, config_hash, last_success_at, circuit_state, interval_seconds)
        values ('quakes', 'csv', '{}', '', now(), 'open', 300);
        insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code)
        select id, 'command', 'failed', now(), now(), 'source' from sources
    """)
    response = await client.get("/health")
    report = response.json()
    assert (response.status_code, report["status"]) == (200, "ok")
    assert report["sources"][0]["freshness"] == "fresh"
    assert report["warnings"] == ["quakes: several runs in a row have failed; it is tried again at growing distances"]


async def test_the_disk_of_the_embedded_database_is_shown_to_those_who_may_read(
    pool: Pool, tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ApiOptions(read_key_required=True, data_folder=tmp_path / "not made yet")
    app = create_app(pool, options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kasparro") as client:
        assert (await client.get("/health")).json()["disk"] is None
        key = await operator(connection)
        monkeypatch.setattr("kasparro.core.disk.LOW_DISK_BYTES", 0)
        monkeypatch.setattr("kasparro.core.disk.FULL_DISK_BYTES", 0)
        fine = (await client.get("/health", headers=key)).json()
        assert (fine["disk"]["state"], fine["disk"]["free_bytes"] > 0, fine["warnings"]) == ("ok", True, [])
        monkeypatch.setattr("kasparro.core.disk.LOW_DISK_BYTES", 2**62)
        low = (await client.get("/health", headers=key)).json()
        assert low["disk"]["state"] == "low"
        assert low["warnings"][0].endswith(" GiB free; make room soon")
        monkeypatch.setattr("kasparro.core.disk.FULL_DISK_BYTES", 2**62)
        full = await client.get("/health", headers=key)
        assert (full.status_code, full.json()["disk"]["state"]) == (200, "full")


async def test_a_file_system_that_hangs_is_not_waited_for_nor_asked_again(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, asked = threading.Event(), list[Path]()

    def hangs(folder: Path) -> None:
        asked.append(folder)
        released.wait()

    monkeypatch.setattr("kasparro.api.disk.look", hangs)
    monkeypatch.setattr("kasparro.api.routes.health.ANSWER_SECONDS", 0.2)
    app = create_app(pool, ApiOptions(data_folder=tmp_path))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kasparro") as client:
            for _ in range(3):
                report = (await client.get("/health")).json()
                assert report["disk"] == {"state": "unknown", "free_bytes": None}
                assert report["warnings"] == ["disk: the file system of the database does not answer"]
    finally:
        released.set()
    assert asked == [tmp_path]


async def test_an_unmigrated_database_is_not_healthy(empty_database: ConnectionOptions) -> None:
    async with client_over(empty_database) as (client, _):
        response = await client.get("/health")
    assert response.status_code == 503
    assert response.json()["status"] == "migrations_pending"
    assert response.json()["migrations"] == {"current": None, "needed": "0006", "up_to_date": False}


async def test_a_database_made_by_newer_code_is_not_healthy(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update alembic_version set version_num = '9999'")
    response = await client.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "database_newer")


async def test_slow_questions_are_waited_for_and_leave_health_a_connection(
    database: ConnectionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both by a lock that is held for as long as the test likes: longer than a server that hangs is given."""
    monkeypatch.setattr("kasparro.api.asking.ROOM_SECONDS", 1.5)
    blocker = await connect(database, application_name="kasparro:test-blocker")
    async with client_over(database) as (client, _):
        await blocker.execute("begin; lock table unified_data in access exclusive mode")
        slow = asyncio.create_task(client.get("/data"))
        while await blocker.fetchval(LOCK_WAITERS) == 0:
            assert not slow.done()
        refused = await client.get("/data")
        assert (refused.status_code, refused.json()["code"]) == (503, "database_full")
        refused = await client.get("/data")
        assert (refused.status_code, slow.done()) == (503, False)
        assert (await client.get("/health")).status_code == 200
        await blocker.execute("commit")
        assert (await slow).status_code == 200
        assert (await client.get("/data")).status_code == 200
    await blocker.close()


async def test_a_revision_of_somebody_else_is_not_healthy(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update alembic_version set version_num = '0000'")
    response = await client.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "database_unknown")


async def test_health_and_data_fail_and_recover_with_the_server(own_server: OwnServer) -> None:
    await upgrade(own_server.options)
    async with client_over(own_server.options) as (client, _):
        assert (await client.get("/health")).status_code == 200
        await own_server.crash()
        response = await client.get("/health")
        assert response.status_code == 503
        assert response.json()["status"] == "unavailable"
        assert response.json()["database"]["reachable"] is False
        data = await client.get("/data")
        assert (data.status_code, data.headers["retry-after"]) == (503, "5")
        assert str(own_server.home) not in data.text
        await own_server.start()
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/data")).status_code == 200


async def test_health_answers_in_time_when_the_database_hangs(database: ConnectionOptions) -> None:
    """A lock on the tables it reads: the database is there, and says nothing."""
    blocker = await connect(database, application_name="kasparro:test-blocker")
    async with client_over(database) as (client, _), asyncio.timeout(10):
        async with blocker.transaction():
            await blocker.execute("lock table alembic_version in access exclusive mode")
            response = await client.get("/health")
        assert response.status_code == 503
        assert response.json()["database"] == {
            "reachable": False, "latency_ms": None, "error": "connection_lost",
            "pool": {"open": 0, "idle": 0, "limit": 2},
        }  # fmt: skip
    await blocker.close()


async def test_live_asks_no_database_and_ready_does(own_server: OwnServer) -> None:
    async with client_over(own_server.options) as (client, _):
        pending = await client.get("/health/ready")
        assert (pending.status_code, pending.json()["status"]) == (503, "migrations_pending")
        assert int(pending.headers["retry-after"]) > 0
        await upgrade(own_server.options)
        ready = await client.get("/health/ready", headers={"X-Request-ID": "r1"})
        assert (ready.status_code, ready.json()) == (200, {"status": "ok", "request_id": "r1"})
        await own_server.crash()
        gone = await client.get("/health/ready")
        assert (gone.status_code, gone.json()["status"]) == (503, "unavailable")
        live = await client.get("/health/live", headers={"X-Request-ID": "l1"})
        assert (live.status_code, live.json()) == (200, {"status": "ok", "version": __version__, "request_id": "l1"})
        metrics = await client.get("/metrics")
        assert (metrics.status_code, "kasparro_database_up 0.0" in metrics.text) == (200, True)
        assert 'http_route="/health/live"' in metrics.text


async def test_whoever_may_not_read_is_told_no_sources(pool: Pool, connection: Connection) -> None:
    await connection.execute(
        "insert into sources (name, type, identity, config_hash) values ('quakes', 'csv', '{}', '')"
    )
    app = create_app(pool, ApiOptions(read_key_required=True))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kasparro") as client:
        report = (await client.get("/health")).json()
        assert (report["status"], report["sources"]) == ("ok", None)
        report = (await client.get("/health", headers=await operator(connection))).json()
        assert [source["name"] for source in report["sources"]] == ["quakes"]
        for path, status in {
            "/health/live": 200,
            "/health/ready": 200,
            "/metrics": 401,
            "/stats": 401,
            "/runs": 401,
        }.items():
            assert (await client.get(path)).status_code == status
