"""`/drift`: findings page by page, by source, kind and state, and one of them."""

import httpx
import pytest

from kasparro.core.database import Connection
from tests.test_api.operating import write_history

DRIFT = """
insert into schema_drift_events (source_id, run_id, last_run_id, kind, field, expected, seen, share, confidence, parts,
    mapped, policy, first_example, last_example, state, created_at, last_seen_at, closed_at, closed_by, reason, profile)
select s.id, v.run, v.run + 1, v.kind, v.field, '{"present": 1.0}', '{"values": ["https://u:secret@x.example/"]}', 0.5,
       0.9731, '{"name": 0.9, "type": 1.0}', v.state <> 'gone', 'quarantine', 'p#1: https://u:secret@x.example/', null,
       v.state, '2026-01-03T00:00:00Z', '2026-01-03T00:00:01Z', v.closed_at::timestamptz, v.closed_by, null, '{}'
from (values
    (1, 'quakes', 1, 'field_renamed', 'mag -> magnitude', 'open', null, null),
    (2, 'quakes', 1, 'field_added', 'felt', 'accepted', '2026-01-04T00:00:00Z', 'ada'),
    (3, 'news', 2, 'field_missing', 'feed.title', 'open', null, null),
    (4, 'quakes', 3, 'value_shift', 'depth', 'gone', '2026-01-04T00:00:00Z', 'run 4')
) v(n, source, run, kind, field, state, closed_at, closed_by) join sources s on s.name = v.source order by n
"""


@pytest.fixture(autouse=True)
async def history(connection: Connection) -> None:
    await write_history(connection)
    await connection.execute(DRIFT)


async def test_open_findings_come_newest_first(client: httpx.AsyncClient) -> None:
    body = (await client.get("/drift")).json()
    assert [finding["id"] for finding in body["data"]] == [3, 1]
    assert body["page"] == {"limit": 50, "next_cursor": None, "has_more": False, "total": None, "total_kind": "none"}
    assert body["data"][1] == {
        "id": 1, "source": "quakes", "kind": "field_renamed", "field": "mag -> magnitude",
        "expected": {"present": 1.0}, "seen": {"values": ["https://***@x.example/"]}, "share": 0.5,
        "confidence": 0.9731, "parts": {"name": 0.9, "type": 1.0}, "mapped": True, "policy": "quarantine",
        "first_example": "p#1: https://***@x.example/", "last_example": None, "state": "open", "run_id": 1,
        "last_run_id": 2, "created_at": "2026-01-03T00:00:00Z", "last_seen_at": "2026-01-03T00:00:01Z",
        "closed_at": None, "closed_by": None, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("state=all", [4, 3, 2, 1]),
        ("state=accepted", [2]),
        ("state=rejected", []),
        ("source=quakes", [1]),
        ("source=quakes&state=all", [4, 2, 1]),
        ("kind=field_missing", [3]),
        ("kind=value_shift&state=gone&source=quakes", [4]),
    ],
)
async def test_findings_are_chosen_by_source_kind_and_state(
    client: httpx.AsyncClient, query: str, ids: list[int]
) -> None:
    assert [finding["id"] for finding in (await client.get(f"/drift?{query}")).json()["data"]] == ids


async def test_pages_follow_one_another(client: httpx.AsyncClient) -> None:
    first = await client.get("/drift?state=all&limit=3")
    assert [finding["id"] for finding in first.json()["data"]] == [4, 3, 2]
    assert 'rel="next"' in first.headers["link"]
    cursor = first.json()["page"]["next_cursor"]
    second = (await client.get(f"/drift?state=all&limit=3&cursor={cursor}")).json()
    assert [finding["id"] for finding in second["data"]] == [1]
    assert second["page"]["has_more"] is False
    assert (await client.get(f"/drift?state=open&limit=3&cursor={cursor}")).status_code == 400


async def test_one_finding(client: httpx.AsyncClient) -> None:
    found = (await client.get("/drift/2")).json()["data"]
    assert (found["state"], found["closed_by"], found["closed_at"]) == ("accepted", "ada", "2026-01-04T00:00:00Z")
    missing = await client.get("/drift/5")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("kind=field_renaimed", 400, "kind"),
        ("state=closed", 400, "state"),
        ("sorce=quakes", 400, "source"),
        ("source=nowz", 404, "nowz"),
        ("limit=0", 400, "limit"),
        ("cursor=x", 400, "cursor"),
        ("source=a%00b", 400, "source"),
    ],
)
async def test_what_cannot_be_answered_is_said(client: httpx.AsyncClient, query: str, status: int, said: str) -> None:
    answer = await client.get(f"/drift?{query}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.text
