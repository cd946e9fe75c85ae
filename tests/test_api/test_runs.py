"""`/runs`: pages, one run, and asking for runs so that each is asked for once."""

import asyncio
from typing import Any

import httpx
import pytest

from kasparro.core.database import Connection
from kasparro.services import locks, workers
from tests.test_api.operating import operator, stored_runs, write_history

RECORDS = {
    "inserted": 4, "updated": 1, "unchanged": 0, "duplicate": 0, "rejected": 0, "filtered": 0, "deleted": 0,
    "fetched": 5, "raw_written": 5,
}  # fmt: skip


@pytest.fixture(autouse=True)
async def history(connection: Connection) -> None:
    await write_history(connection)


@pytest.fixture
async def headers(connection: Connection) -> dict[str, str]:
    return await operator(connection)


async def test_runs_come_newest_first(client: httpx.AsyncClient) -> None:
    response = await client.get("/runs")
    body = response.json()
    assert response.status_code == 200
    assert [(run["id"], run["source"], run["state"]) for run in body["data"]] == [
        (4, "quakes", "interrupted"), (3, "quakes", "partial"), (2, "news", "failed"), (1, "quakes", "succeeded"),
    ]  # fmt: skip
    assert body["page"] == {
        "limit": 50, "next_cursor": None, "has_more": False, "total": None, "total_kind": "none",
    }  # fmt: skip
    assert body["data"][3] == {
        "id": 1, "source": "quakes", "source_type": "csv", "state": "succeeded", "trigger": "schedule",
        "queued_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:02Z", "duration_seconds": 2.0, "operation": None, "resumes_run_id": None,
        "batches": 2, "records": RECORDS, "error": None,
    }  # fmt: skip


async def test_runs_are_walked_by_cursor_while_new_ones_come(client: httpx.AsyncClient, connection: Connection) -> None:
    first = (await client.get("/runs?limit=3")).json()
    await connection.execute("insert into etl_runs (source_id, trigger, state) values (1, 'api', 'queued')")
    second = (await client.get("/runs", params={"limit": 3, "cursor": first["page"]["next_cursor"]})).json()
    assert [run["id"] for run in first["data"] + second["data"]] == [4, 3, 2, 1]
    assert second["page"]["has_more"] is False


async def test_the_next_page_is_linked(client: httpx.AsyncClient) -> None:
    first = await client.get("/runs?source=quakes&limit=2")
    cursor = first.json()["page"]["next_cursor"]
    assert first.headers["link"] == f'</runs?source=quakes&limit=2&cursor={cursor}>; rel="next"'
    assert "link" not in (await client.get(first.links["next"]["url"])).headers


async def test_runs_are_chosen_by_source_and_status(client: httpx.AsyncClient) -> None:
    chosen = {
        "source=quakes": [4, 3, 1], "source=quakes&status=partial": [3], "status=failed": [2], "status=running": [],
        "source=quakes&limit=1": [4], "source=rss": [2], "source=csv&status=succeeded": [1], "source=api": [],
    }  # fmt: skip
    for query, ids in chosen.items():
        assert [run["id"] for run in (await client.get(f"/runs?{query}")).json()["data"]] == ids, query


async def test_a_cursor_belongs_to_its_filters(client: httpx.AsyncClient) -> None:
    cursor = (await client.get("/runs?source=quakes&limit=1")).json()["page"]["next_cursor"]
    response = await client.get("/runs", params={"source": "news", "cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (400, "parameter")


async def test_what_cannot_be_meant_is_refused(client: httpx.AsyncClient) -> None:
    refused = {
        "/runs?limit=0": 400, "/runs?limit=1001": 400, "/runs?status=done": 400, "/runs?state=failed": 400,
        "/runs?cursor=x": 400, "/runs?source=a&source=b": 400, "/runs?source=unknown": 404, "/runs?source=%00": 404,
        "/runs/99": 404, "/runs/99999999999999999999": 404, "/runs/-1": 400, "/runs/abc": 400, "/runs/%00": 400,
        "/runs/1?x=1": 400, "/runs/1e2": 400,
    }  # fmt: skip
    for path, status in refused.items():
        response = await client.get(path)
        assert (path, response.status_code) == (path, status), response.text
        assert response.headers["content-type"] == "application/problem+json"


async def test_an_unknown_parameter_names_the_nearest(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/runs?state=failed")).json()
    assert problem["errors"] == [{"parameter": "state", "detail": "unknown parameter; did you mean 'status'?"}]


async def test_a_run_shows_its_batches_summed_and_nothing_secret(client: httpx.AsyncClient) -> None:
    run = (await client.get("/runs/1")).json()["data"]
    assert run["stage_seconds"] == {"fetch": 0.75, "store": 0.25, "transform": 1.0}
    assert (run["size_bytes"], run["batches"], run["records"]) == (150, 2, RECORDS)
    assert (run["digest"], run["mapping_hash"], run["pass_id"]) == ("000000000000000000000000000000ff", "m1", 7)
    assert (run["plan"], run["checkpoint_before"]) == ({"partitions": ["p"]}, {})
    assert run["checkpoint_after"] == {
        "https://x.example/f?token=***#0": {"ordinal": 5, "cursor": {"page": 2, "api_key": "***"}}
    }
    failed = (await client.get("/runs/2")).json()["data"]
    assert failed["error"] == {"code": "upstream", "message": "https://***@feed.example.org/x?token=***: HTTP 500"}


async def test_a_run_at_work_shows_what_it_has_committed(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update etl_runs set state = 'running', finished_at = null, fetched = 0 where id = 1")
    assert (await client.get("/runs/1")).json()["data"]["state"] == "interrupted", "nobody holds its source"
    source_id = await connection.fetchval("select source_id from etl_runs where id = 1")
    assert await locks.try_lock(connection, source_id)
    run = (await client.get("/runs/1")).json()["data"]
    assert (run["state"], run["duration_seconds"], run["batches"]) == ("running", None, 2)
    assert (run["records"]["fetched"], run["records"]["inserted"], run["records"]["updated"]) == (5, 4, 1)


async def test_a_run_of_one_source_is_queued(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    response = await client.post("/runs", json={"source": "quakes"}, headers=headers)
    assert response.status_code == 202, response.text
    run = response.json()["data"][0]
    assert (run["id"], run["source"], run["state"], run["trigger"]) == (5, "quakes", "queued", "api")
    assert response.headers["location"] == "/runs/5"
    assert (await client.get(response.headers["location"])).json()["data"]["state"] == "queued"
    assert len(await stored_runs(connection)) == 5


async def test_no_body_means_every_source(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/runs", headers=headers)
    assert [run["source"] for run in response.json()["data"]] == ["quakes", "news"]
    assert "location" not in response.headers


async def test_whoever_claims_runs_is_told_at_once(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    told = asyncio.Event()
    await connection.add_listener("kasparro_runs", lambda *_: told.set())
    await client.post("/runs", json={"source": "news"}, headers=headers)
    async with asyncio.timeout(5):
        await told.wait()


async def test_an_active_run_is_a_conflict_that_names_it(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await client.post("/runs", json={"source": "quakes"}, headers=headers)
    for more in ({}, {"Idempotency-Key": "other"}):
        response = await client.post("/runs", json={"source": "quakes"}, headers={**headers, **more})
        assert (response.status_code, response.json()["code"]) == (409, "run_active")
        assert "quakes (run 5)" in response.json()["detail"]


async def test_every_source_is_answered_with_active_runs_beside_new_ones(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await client.post("/runs", json={"source": "quakes"}, headers=headers)
    assert [run["id"] for run in (await client.post("/runs", headers=headers)).json()["data"]] == [5, 6]
    assert (await client.post("/runs", headers=headers)).status_code == 409


async def test_the_same_key_is_answered_with_the_first_run(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    named = {**headers, "Idempotency-Key": "nightly-2026-11-22"}
    ids = [(await client.post("/runs", json={"source": "quakes"}, headers=named)).json()["data"][0]["id"] for _ in "ab"]
    await connection.execute("update etl_runs set state = 'succeeded', started_at = now(), finished_at = now()")
    await workers.leave(connection, "a-scheduler:1")
    later = await client.post("/runs", json={"source": "quakes"}, headers=named)
    assert [*ids, later.json()["data"][0]["id"]] == [5, 5, 5]
    assert later.json()["data"][0]["state"] == "succeeded"


@pytest.mark.parametrize("body", [{"source": "quakes"}, None])
async def test_of_many_at_once_with_one_key_one_queues(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str], body: dict[str, str] | None
) -> None:
    named = {**headers, "Idempotency-Key": "k"}
    answers = await asyncio.gather(*(client.post("/runs", json=body, headers=named) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(answer.json()["data"]) for answer in answers}) == 1
    assert [run["key"] for run in await stored_runs(connection)][4:] == ["k"] * (1 if body else 2)


async def test_of_many_at_once_without_a_key_one_queues(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    answers = await asyncio.gather(*(client.post("/runs", json={"source": "news"}, headers=headers) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 11]
    assert len(await stored_runs(connection)) == 5


async def test_a_dead_run_is_not_active_and_a_living_one_is(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    """Whoever runs holds the source's lock; a row that only says so is what a killed process left."""
    await connection.execute("update etl_runs set state = 'running', finished_at = null where id = 3")
    await locks.try_lock(connection, 1)
    assert (await client.post("/runs", json={"source": "quakes"}, headers=headers)).status_code == 409
    await locks.unlock(connection, 1)
    assert (await client.post("/runs", json={"source": "quakes"}, headers=headers)).status_code == 202


async def test_without_a_scheduler_nothing_is_queued(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    await connection.execute("update workers set polled_at = now() - interval '61 seconds'")
    response = await client.post("/runs", json={"source": "quakes"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (503, "no_worker")
    assert int(response.headers["retry-after"]) > 0
    assert "kasparro scheduler" in response.json()["detail"]
    assert len(await stored_runs(connection)) == 4


async def test_operating_needs_a_key(client: httpx.AsyncClient) -> None:
    response = await client.post("/runs", json={"source": "quakes"})
    assert (response.status_code, response.headers["www-authenticate"].split()[0]) == (401, "Bearer")


async def test_a_body_key_or_parameter_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    bodies = {
        '{"source": "unknown"}': 404, '{"source": "\\u0000"}': 404, '{"source": "\\ud800"}': 404, '{"source": 5}': 400,
        '{"sources": "quakes"}': 400, "[]": 400, '{"source"': 400, '"quakes"': 400,
    }  # fmt: skip
    for content, status in bodies.items():
        response = await client.post("/runs", content=content, headers={**headers, "Content-Type": "application/json"})
        assert (content, response.status_code) == (content, status), response.text
    problem = await client.post("/runs", json={"source": 5, "a/b": 1}, headers=headers)
    assert problem.json()["code"] == "body"
    assert problem.json()["errors"] == [
        {"pointer": "/source", "detail": "expected text"},
        {"pointer": "/a~1b", "detail": "unknown member; known are source"},
    ]
    for key in (b"a b", b"x" * 256, "é".encode(), b""):
        given: Any = {**headers, "Idempotency-Key": key}
        assert (await client.post("/runs", headers=given)).status_code == 400
    for query in ("wait=1", "wait=yes", "timeout=0", "timeout=3601", "timeout=1.5", "wat=true", "wait=true&wait=true"):
        assert (await client.post(f"/runs?{query}", headers=headers)).status_code == 400
    assert len(await stored_runs(connection)) == 4


@pytest.mark.parametrize(
    ("content", "pointer", "detail"),
    [
        ('{"sourc": "quakes"}', "/sourc", 'unknown member; did you mean "source"?'),
        ("[]", "", 'expected an object such as {"source": "name"}'),
        ('"quakes"', "", 'expected an object such as {"source": "name"}'),
        ('{"source"', "", "is no JSON: Expecting ':' delimiter"),
    ],
)
async def test_a_wrong_body_is_told_what_is_expected(
    client: httpx.AsyncClient, headers: dict[str, str], content: str, pointer: str, detail: str
) -> None:
    typed = {**headers, "Content-Type": "application/json"}
    problem = (await client.post("/runs", content=content, headers=typed)).json()
    assert problem["errors"] == [{"pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("asked", "parameter", "detail"),
    [
        ("GET /runs?limit=0", "limit", "expected a whole number from 1 to 1000"),
        ("GET /runs?limit=x", "limit", "expected a whole number from 1 to 1000"),
        ("GET /sources?limit=1.0", "limit", "expected a whole number from 1 to 1000"),
        ("POST /runs?wait=maybe", "wait", "expected true or false"),
        ("POST /runs?wait=true&timeout=3601", "timeout", "expected a whole number from 1 to 3600"),
        ("GET /runs?source=", "source", "must not be empty"),
        ("GET /runs?source=%ff", "source", "is not UTF-8"),
        ("GET /sources?cursor=%ff", "cursor", "is not UTF-8"),
        ("GET /runs/abc", "id", "expected a whole number of at most 30 digits, and nothing but digits"),
        ("GET /raw/abc", "id", "expected a whole number of at most 30 digits, and nothing but digits"),
        ("GET /data/1.0", "id", "expected a whole number of at most 30 digits, and nothing but digits"),
        (
            "GET /runs?status=done",
            "status",
            "expected one of queued, running, succeeded, partial, failed, systemic, interrupted, cancelled, paused",
        ),
    ],
)
async def test_a_wrong_parameter_is_told_what_is_expected(
    client: httpx.AsyncClient, headers: dict[str, str], asked: str, parameter: str, detail: str
) -> None:
    method, _, url = asked.partition(" ")
    problem = (await client.request(method, url, headers=headers)).json()
    assert problem["errors"] == [{"parameter": parameter, "detail": detail}]


async def test_a_fresh_database_has_nothing_to_run(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("truncate sources cascade")
    response = await client.post("/runs", headers=await operator(connection))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def _end(connection: Connection, run_id: int, state: str) -> None:
    """As soon as the run is queued."""
    while await connection.fetchval("select count(*) from etl_runs where id = $1", run_id) == 0:
        pass
    await connection.execute(
        "update etl_runs set state = $2, started_at = now(), finished_at = now(), error_code = $3, error_message = $3 "
        "where id = $1",
        run_id, state, None if state == "succeeded" else "the reason",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "status"),
    [("succeeded", 200), ("failed", 502), ("systemic", 502), ("interrupted", 502), ("cancelled", 502)],
)
async def test_waiting_is_answered_by_how_it_ended(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str], state: str, status: int
) -> None:
    asked = asyncio.create_task(client.post("/runs?wait=true", json={"source": "news"}, headers=headers))
    await _end(connection, 5, state)
    response = await asked
    assert response.status_code == status, response.text
    if status == 502:
        assert response.json()["code"] == "run_failed"
        assert response.json()["detail"] == f"news: run 5 ended {state}: the reason"


async def test_waiting_ends_with_the_time_or_the_service(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    over = await client.post("/runs?wait=true&timeout=1", json={"source": "news"}, headers=headers)
    assert (over.status_code, over.json()["data"][0]["state"]) == (202, "queued")
    application: Any = client._transport
    named = {**headers, "Idempotency-Key": "k"}
    asked = asyncio.create_task(client.post("/runs?wait=true", json={"source": "quakes"}, headers=named))
    while (await client.get("/runs/6")).status_code == 404:
        pass
    application.app.state.stopping.set()
    async with asyncio.timeout(5):
        assert (await asked).status_code == 202


async def test_a_request_waits_for_whoever_queues_the_same_source(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    """The unique index alone would answer the second one with an error."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select from sources where name = 'news' for no key update")
    named = {**headers, "Idempotency-Key": "k"}
    asked = asyncio.create_task(client.post("/runs", json={"source": "news"}, headers=named))
    await connection.execute(
        "insert into etl_runs (source_id, trigger, state, idempotency_key) values (2, 'api', 'queued', 'k')"
    )
    await transaction.commit()
    assert (await asked).json()["data"][0]["id"] == 5
