"""`/sources`: what the database knows, by name."""

import httpx
import pytest

from kasparro.core.database import Connection
from tests.test_api.operating import write_history


@pytest.fixture(autouse=True)
async def history(connection: Connection) -> None:
    await write_history(connection)


async def test_sources_come_by_name_with_their_latest_run(client: httpx.AsyncClient) -> None:
    body = (await client.get("/sources")).json()
    assert [source["name"] for source in body["data"]] == ["news", "quakes"]
    assert body["page"]["has_more"] is False
    assert body["data"][1] == {
        "name": "quakes", "type": "csv", "key": ["id"], "digest": "0" * 32, "circuit_state": "closed",
        "created_at": "2026-01-01T00:00:00Z", "last_success_at": "2026-01-01T00:00:02Z",
        "last_run": {
            "id": 4, "state": "interrupted", "started_at": "2026-01-04T00:00:00Z",
            "finished_at": "2026-01-05T00:00:00Z", "error_code": "interrupted",
        },
    }  # fmt: skip
    assert (body["data"][0]["key"], body["data"][0]["last_success_at"]) == (None, None)


async def test_sources_are_walked_by_cursor(client: httpx.AsyncClient) -> None:
    first = (await client.get("/sources?limit=1")).json()
    second = (await client.get("/sources", params={"limit": 1, "cursor": first["page"]["next_cursor"]})).json()
    assert [page["data"][0]["name"] for page in (first, second)] == ["news", "quakes"]
    assert (first["page"]["has_more"], second["page"]["has_more"]) == (True, False)


async def test_a_source_by_its_name(client: httpx.AsyncClient) -> None:
    assert (await client.get("/sources/news")).json()["data"]["name"] == "news"
    for path, status in {"/sources/unknown": 404, "/sources/%00": 404, "/sources/news?x=1": 400}.items():
        assert (await client.get(path)).status_code == status
