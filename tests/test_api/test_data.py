"""`GET /data`: what a client can ask, and what it reads."""

import asyncpg
import httpx
import pytest

from kasparro.core.database import Connection, Pool
from kasparro.schemas.pages import DataPage

pytestmark = pytest.mark.usefixtures("records")
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What the driver may say of a connection that is gone, whenever it notices."""


async def keys(client: httpx.AsyncClient, query: str) -> list[str]:
    response = await client.get(f"/data{query}")
    assert response.status_code == 200, response.text
    return [record["record_key"] for record in response.json()["data"]]


async def test_a_record_shows_exact_decimals_and_utc_times(client: httpx.AsyncClient) -> None:
    first = (await client.get("/data?limit=1")).json()["data"][0]
    assert first == {
        "id": 1,
        "source": "quakes",
        "source_type": "csv",
        "record_key": "q1",
        "title": 'Café "Ö" \\',
        "body": None,
        "url": None,
        "author": None,
        "category": None,
        "tags": ["a", "b"],
        "value": "12345678901234567890.1203",
        "unit": "ml",
        "occurred_at": "2018-02-07T01:26:13.840000Z",
        "entity_key": None,
        "attributes": {"depth": "26.49"},
        "raw_id": 7,
        "run_id": 3,
        "first_seen_at": "2026-01-02T03:04:05.000000Z",
        "last_changed_at": "2026-01-02T03:04:05.678901Z",
    }


async def test_small_and_whole_values_keep_plain_notation(client: httpx.AsyncClient) -> None:
    values = [record["value"] for record in (await client.get("/data")).json()["data"]]
    assert values == ["12345678901234567890.1203", "100", None, None, "0.000001"]


async def test_missing_lists_and_objects_are_empty(client: httpx.AsyncClient) -> None:
    second = (await client.get("/data?offset=1&limit=1")).json()["data"][0]
    assert (second["tags"], second["attributes"], second["occurred_at"]) == ([], {}, "2018-02-07T01:26:13.000000Z")


async def test_body_matches_its_documented_model(client: httpx.AsyncClient) -> None:
    response = await client.get("/data", headers={"X-Request-ID": "abc-1"})
    page = DataPage.model_validate_json(response.content)
    assert response.headers["content-type"] == "application/json"
    assert page.request_id == "abc-1"
    assert page.api_latency_ms > 0
    assert page.page.model_dump() == {
        "limit": 50,
        "next_cursor": None,
        "has_more": False,
        "total": None,
        "total_kind": "none",
    }


async def test_deleted_records_are_not_shown(client: httpx.AsyncClient) -> None:
    assert await keys(client, "") == ["q1", "q2", "n1", "n2", "q3"]


async def test_pages_by_limit_and_offset_join_without_gap(client: httpx.AsyncClient) -> None:
    assert await keys(client, "?limit=2") == ["q1", "q2"]
    assert await keys(client, "?limit=2&offset=2") == ["n1", "n2"]
    assert await keys(client, "?limit=2&offset=4") == ["q3"]
    assert await keys(client, "?offset=5") == []


@pytest.mark.parametrize(("query", "has_more"), [("?limit=4", True), ("?limit=5", False), ("?limit=1000", False)])
async def test_has_more_says_whether_another_page_follows(
    client: httpx.AsyncClient, query: str, has_more: bool
) -> None:
    assert (await client.get(f"/data{query}")).json()["page"]["has_more"] is has_more


async def test_source_is_a_name_or_a_type(client: httpx.AsyncClient) -> None:
    assert await keys(client, "?source=csv") == ["q1", "q2", "q3"]
    assert await keys(client, "?source=quakes&limit=2") == ["q1", "q2"]
    assert await keys(client, "?source=news") == ["n1", "n2"]
    assert await keys(client, "?source=api") == []


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ("?limt=3", "limt", "did you mean 'limit'?"),
        ("?offest=3", "offest", "did you mean 'offset'?"),
        ("?zzz=3", "zzz", "known are limit, offset, cursor, sort, fields, q, count, format, id, source"),
        ("?limit=0", "limit", "expected a whole number from 1 to 1000"),
        ("?limit=1001", "limit", "a whole number from 1 to 1000"),
        ("?limit=ten", "limit", "a whole number from 1 to 1000"),
        ("?limit=", "limit", "a whole number from 1 to 1000"),
        ("?limit=1.0", "limit", "a whole number from 1 to 1000"),
        ("?limit=1_0", "limit", "a whole number from 1 to 1000"),
        ("?limit=%2B1", "limit", "a whole number from 1 to 1000"),
        ("?limit=%D9%A1", "limit", "a whole number from 1 to 1000"),
        ("?offset=%201", "offset", "a whole number from 0 to"),
        (f"?offset={'9' * 5000}", "offset", "a whole number from 0 to"),
        ("?offset=-1", "offset", "a whole number from 0 to"),
        ("?offset=9223372036854775808", "offset", "a whole number from 0 to"),
        ("?limit=1&limit=2", "limit", "given more than once"),
        ("?q=%ff", "q", "is not UTF-8"),
        ("?title=%ed%a0%80", "title", "is not UTF-8"),
        ("?%ff=1", "\\xff", "is not UTF-8"),
        ("?source=", "source", "at least 1 character"),
    ],
)
async def test_a_wrong_parameter_is_a_400_that_names_it(
    client: httpx.AsyncClient, query: str, parameter: str, words: str
) -> None:
    response = await client.get(f"/data{query}", headers={"X-Request-ID": "r1"})
    problem = response.json()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert [item["parameter"] for item in problem["errors"]] == [parameter]
    assert words in problem["errors"][0]["detail"]
    assert {name: problem[name] for name in ("type", "title", "status", "instance", "code", "request_id")} == {
        "type": "urn:kasparro:problem:parameter",
        "title": "Bad Request",
        "status": 400,
        "instance": "/data",
        "code": "parameter",
        "request_id": "r1",
    }


async def test_the_largest_offset_is_an_empty_page(client: httpx.AsyncClient) -> None:
    assert await keys(client, "?offset=9223372036854775807") == []


@pytest.mark.parametrize("name", ["quaks", "%27%3B--", "neq.quaks", "in.(news,quaks)"])
async def test_an_unknown_source_is_a_404(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/data?source={name}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_one_thing_is_found_in_all_sources_by_its_entity(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    await connection.execute("update unified_data set entity_key = 'e1' where record_key in ('q1', 'n2', 'gone')")
    for name in ("entity", "entity_key"):
        found = (await client.get("/data", params={name: "e1"})).json()["data"]
        assert [(record["source"], record["record_key"]) for record in found] == [("quakes", "q1"), ("news", "n2")]
    refused = (await client.get("/data", params={"entity": "in.()"})).json()
    assert [problem["parameter"] for problem in refused["errors"]] == ["entity"]


async def test_an_unknown_source_suggests_the_nearest(client: httpx.AsyncClient) -> None:
    assert "did you mean 'quakes'?" in (await client.get("/data?source=quaks")).json()["detail"]


async def test_what_is_long_is_not_repeated_whole(client: httpx.AsyncClient) -> None:
    long = "x" * 3_000
    for query in (f"/data?sort={long}", f"/data?{long}=1", f"/data?{long}=1&{long}=2", f"/{long}", f"/health?{long}"):
        response = await client.get(query)
        assert response.status_code in {400, 404}
        assert "x" * 90 in response.text
        assert len(response.text) < 1000


@pytest.mark.parametrize("path", ["/data?limit=2", "/health", "/data?limit=0", "/nowhere", "/openapi.json"])
async def test_head_answers_like_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    got, headed = await client.get(path), await client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert abs(int(headed.headers["content-length"]) - len(got.content)) < 10  # the latency has more digits or fewer


@pytest.mark.parametrize("path", ["/data/", "/health/"])
async def test_a_slash_too_many_is_a_404_and_leads_nowhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Host": "elsewhere.example"})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "location" not in response.headers


async def test_health_takes_no_parameters(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/health?verbose=1")).json()
    assert (problem["status"], problem["code"]) == (400, "parameter")
    assert problem["errors"] == [{"parameter": "verbose", "detail": "unknown parameter; none is known here"}]


async def test_a_valid_request_id_is_echoed_and_others_are_replaced(client: httpx.AsyncClient) -> None:
    assert (await client.get("/data", headers={"X-Request-ID": "a.B:9_-"})).headers["x-request-id"] == "a.B:9_-"
    for bad in ("", "white space", "x" * 129, 'quote"'):
        given = (await client.get("/data", headers={"X-Request-ID": bad})).headers["x-request-id"]
        assert len(given) == 32
        assert given != bad


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/data", 405, "method_not_allowed"),
    ],
)
async def test_the_frameworks_own_errors_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_unexpected_error_shows_no_stack_and_no_sql(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("alter table unified_data drop column title")
    response = await client.get("/data", headers={"X-Request-ID": "r2"})
    assert response.status_code == 500
    assert response.json() == {
        "type": "urn:kasparro:problem:unexpected",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "unexpected error; the log has the details under this request_id",
        "instance": "/data",
        "code": "unexpected",
        "request_id": "r2",
    }


async def test_a_lost_connection_is_a_503_once_and_forgotten(
    client: httpx.AsyncClient, pool: Pool, connection: Connection
) -> None:
    assert await keys(client, "?limit=1") == ["q1"]
    async with pool.acquire() as borrowed:
        victim = borrowed.get_server_pid()
        await connection.fetchval("select pg_terminate_backend($1, 5000)", victim)
        with pytest.raises(LOST):
            await borrowed.fetchval("select 1")
    assert await keys(client, "?limit=1") == ["q1"]
