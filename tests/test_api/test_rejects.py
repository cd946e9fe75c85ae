"""`/rejects`: pages, groups, and asking for another try so that each is asked for once."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from kasparro.core.database import Connection
from kasparro.services import locks, workers
from tests.test_api.operating import operator, stored_runs, write_history

REJECTS = """
insert into rejected_records (source_id, run_id, code, field, message, record_key, content_hash, raw_id, locator,
                              first_seen_at, last_seen_at, times, state, resolution)
select s.id, v.run, v.code, v.field, v.message, v.key, v.key::bytea, 10 + v.n, v.locator, '2026-01-03T00:00:00Z',
       '2026-01-03T00:00:00Z'::timestamptz + make_interval(secs => v.n), v.n, v.state,
       case when v.state <> 'open' then 'loaded' end
from (values
    (1, 'quakes', 3, 'invalid_decimal', 'value', '"dear" is not a decimal number', 'a', 'p.csv:7', 'open'),
    (2, 'quakes', 3, 'invalid_decimal', 'value', '"4 or "5"" is not a decimal number', 'b', 'p.csv:17', 'open'),
    (3, 'quakes', 3, 'ragged_row', null, 'p.csv:8: 5 cells, but there are 4 columns', 'c', 'p.csv:8', 'open'),
    (4, 'news', 2, 'key_missing', 'guid', 'https://u:secret@x.example/?token=abcdef no guid', 'd', 'f#1', 'open'),
    (5, 'quakes', 1, 'ragged_row', null, 'p.csv:9: 12 cells, but there are 4 columns', 'e', 'p.csv:9', 'resolved')
) v(n, source, run, code, field, message, key, locator, state) join sources s on s.name = v.source order by n
"""


@pytest.fixture(autouse=True)
async def history(connection: Connection) -> None:
    await write_history(connection)
    await connection.execute(REJECTS)


@pytest.fixture
async def headers(connection: Connection) -> dict[str, str]:
    return await operator(connection)


async def listed(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def test_open_rejects_come_newest_first(client: httpx.AsyncClient) -> None:
    body = (await client.get("/rejects")).json()
    assert [reject["id"] for reject in body["data"]] == [4, 3, 2, 1]
    assert body["page"] == {"limit": 50, "next_cursor": None, "has_more": False, "total": None, "total_kind": "none"}
    group = body["data"][3].pop("group")
    assert body["data"][3] == {
        "id": 1, "source": "quakes", "state": "open", "code": "invalid_decimal", "field": "value",
        "message": '"dear" is not a decimal number', "record_key": "a", "locator": "p.csv:7", "raw_id": 11, "run_id": 3,
        "times": 1, "first_seen_at": "2026-01-03T00:00:00Z", "last_seen_at": "2026-01-03T00:00:01Z",
        "resolved_at": None, "resolution": None,
    }  # fmt: skip
    assert group == body["data"][2]["group"] != body["data"][1]["group"]
    assert "secret" not in body["data"][0]["message"]


async def test_rejects_are_chosen_by_what_they_are(client: httpx.AsyncClient) -> None:
    chosen = {
        "source=quakes": [3, 2, 1], "code=ragged_row": [3], "code=ragged_row&state=all": [5, 3], "state=resolved": [5],
        "field=value": [2, 1], "field=none": [], "run=2": [4], "run=9223372036854775807": [],
        "source=quakes&limit=1": [3], "state=dropped": [],
    }  # fmt: skip
    for query, ids in chosen.items():
        assert [reject["id"] for reject in await listed(client, f"/rejects?{query}")] == ids, query


async def test_rejects_and_groups_are_walked_by_cursor(client: httpx.AsyncClient) -> None:
    for path, name, expected in (("/rejects", "id", [4, 3, 2, 1]), ("/rejects/groups", "payloads", [2, 1, 1])):
        first = await client.get(f"{path}?limit=2")
        cursor = first.json()["page"]["next_cursor"]
        assert first.headers["link"] == f'<{path}?limit=2&cursor={cursor}>; rel="next"'
        second = await client.get(first.links["next"]["url"])
        assert [each[name] for each in first.json()["data"] + second.json()["data"]] == expected
        assert second.json()["page"]["has_more"] is False
        other = await client.get(path, params={"cursor": cursor, "state": "all"})
        assert (other.status_code, other.json()["code"]) == (400, "parameter")


async def test_groups_say_what_their_rejects_have_in_common(client: httpx.AsyncClient) -> None:
    prices, *_ = await listed(client, "/rejects/groups")
    assert prices.pop("group") == (await listed(client, "/rejects"))[3]["group"]
    assert prices == {
        "source": "quakes", "code": "invalid_decimal", "field": "value", "message": '"*" is not a decimal number',
        "payloads": 2, "times": 3, "first_seen_at": "2026-01-03T00:00:00Z", "last_seen_at": "2026-01-03T00:00:02Z",
        "examples": [
            {"id": 1, "locator": "p.csv:7", "message": '"dear" is not a decimal number', "record_key": "a",
             "raw_id": 11},
            {"id": 2, "locator": "p.csv:17", "message": '"4 or "5"" is not a decimal number', "record_key": "b",
             "raw_id": 12},
        ],
    }  # fmt: skip
    [ragged] = await listed(client, "/rejects/groups?code=ragged_row&state=all")
    assert (ragged["message"], ragged["payloads"]) == ("# cells, but there are # columns", 2)


async def test_what_cannot_be_meant_is_refused(client: httpx.AsyncClient) -> None:
    refused = {
        "limit=0": 400, "limit=1001": 400, "state=done": 400, "status=open": 400, "cursor=x": 400, "run=x": 400,
        "run=-1": 400, "source=a&source=b": 400, "source=unknown": 404, "source=%00": 400, "code=%00": 400,
        "code=": 400, "field=%ff": 400,
    }  # fmt: skip
    for path in ("/rejects", "/rejects/groups"):
        for query, status in refused.items():
            response = await client.get(f"{path}?{query}")
            assert (query, response.status_code) == (query, status), response.text
            assert response.headers["content-type"] == "application/problem+json"


async def test_a_requeue_is_queued_for_each_source_with_rejects_that_are_chosen(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    [prices, *_] = await listed(client, "/rejects/groups")
    body = {"groups": [prices["group"]], "ids": [5]}
    response = await client.post("/rejects/requeue", json=body, headers=headers)
    assert response.status_code == 202, response.text
    [run] = response.json()["data"]
    assert (run["id"], run["source"], run["state"], run["operation"]) == (5, "quakes", "queued", "requeue")
    assert response.headers["location"] == "/runs/5"
    plan = await connection.fetchval("select plan::text from etl_runs where id = 5")
    assert json.loads(plan)["requeue"] == {"groups": [prices["group"]], "ids": [5]}

    both = await client.post("/rejects/requeue", headers=headers)
    assert [each["source"] for each in both.json()["data"]] == ["quakes", "news"]
    assert [each["id"] for each in both.json()["data"]] == [5, 6], "the one that is queued already, and a new one"


async def test_where_nothing_is_chosen_nothing_is_queued(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    for body in (
        {"code": "other"},
        {"ids": [5]},
        {"groups": ["f0123456789"]},
        {"ids": [2**64]},
        {"source": "news", "field": "value"},
    ):
        response = await client.post("/rejects/requeue", json=body, headers=headers)
        assert (response.status_code, response.json()["data"]) == (200, [])
    assert len(await stored_runs(connection)) == 4
    for body in ({"ids": []}, {"groups": []}):
        response = await client.post("/rejects/requeue", json=body, headers=headers)
        assert response.status_code in {400, 422}, "an empty list may be a caller's mistake, and is not all"


async def test_one_requeue_of_a_source_at_a_time(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    body = {"source": "quakes"}
    answers = await asyncio.gather(*(client.post("/rejects/requeue", json=body, headers=headers) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 5]
    conflict = next(answer for answer in answers if answer.status_code == 409)
    assert (conflict.json()["code"], "quakes (run 5)" in conflict.json()["detail"]) == ("run_active", True)


async def test_a_run_that_reads_is_not_in_the_way(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    await connection.execute("update etl_runs set state = 'running', finished_at = null where id = 3")
    await locks.try_lock(connection, 1)
    response = await client.post("/rejects/requeue", json={"source": "quakes"}, headers=headers)
    assert response.status_code == 202, response.text


async def test_the_same_key_is_answered_with_the_first_requeue(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    named = {**headers, "Idempotency-Key": "mended"}
    answers = await asyncio.gather(*(client.post("/rejects/requeue", headers=named) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(answer.json()["data"]) for answer in answers}) == 1
    await connection.execute("update etl_runs set state = 'succeeded', started_at = now(), finished_at = now()")
    await connection.execute("update rejected_records set state = 'requeued'")
    await workers.leave(connection, "a-scheduler:1")
    later = await client.post("/rejects/requeue", headers=named)
    assert [run["state"] for run in later.json()["data"]] == ["succeeded"] * 2
    assert (await client.post("/runs", headers=named)).status_code == 503, "it is another request"


async def test_requeuing_needs_a_key_a_scheduler_and_a_body_that_makes_sense(
    client: httpx.AsyncClient, connection: Connection, headers: dict[str, str]
) -> None:
    assert (await client.post("/rejects/requeue")).status_code == 401
    bodies = {
        '{"source": "unknown"}': 404, '{"source": "\\u0000"}': 400, '{"source": "\\ud800"}': 400, '{"code": 5}': 400,
        '{"ids": 5}': 400, '{"ids": ["5"]}': 400, '{"ids": [-1]}': 400, '{"groups": ["x"]}': 400, "[]": 400,
        '{"group": "f0123456789"}': 400,
    }  # fmt: skip
    for content, status in bodies.items():
        typed = {**headers, "Content-Type": "application/json"}
        response = await client.post("/rejects/requeue", content=content, headers=typed)
        assert (content, response.status_code) == (content, status), response.text
    problem = await client.post("/rejects/requeue", json={"sourc": "a"}, headers=headers)
    assert problem.json()["errors"] == [{"pointer": "/sourc", "detail": 'unknown member; did you mean "source"?'}]
    await workers.leave(connection, "a-scheduler:1")
    response = await client.post("/rejects/requeue", headers=headers)
    assert (response.status_code, response.json()["code"]) == (503, "no_worker")
    assert len(await stored_runs(connection)) == 4
