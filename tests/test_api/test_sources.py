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


async def test_a_source_tells_which_mappings_its_live_records_were_made_by(
    client: httpx.AsyncClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("""
        insert into mapping_versions (hash, mapping) values ('m2', '{}'), ('m3', '{}');
        update etl_runs set mapping_version = 2 where id = 4;
        insert into unified_data (source_id, record_key, content_hash, record_hash, raw_id, run_id, pass_id,
                                  mapping_version, first_seen_at, last_changed_at, deleted_at)
        select 1, n, '', '', n, 1, 1, 1 + (n > 4)::integer, now(), now(), case when n = 1 then now() end
        from generate_series(1, 6) n
    """)
    expected = [(1, "m1", False, 3, "exact"), (2, "m2", True, 2, "exact")]
    for few, blocks in ((20_000, 4_000), (2, 4_000)):
        monkeypatch.setattr("kasparro.services.mappings.FEW_RECORDS", few)
        monkeypatch.setattr("kasparro.services.mappings.FEW_BLOCKS", blocks)
        found = (await client.get("/sources/quakes")).json()["data"]["mappings"]
        told = ("id", "hash", "is_current", "records", "records_kind")
        assert [tuple(each[name] for name in told) for each in found] == expected
    assert (await client.get("/sources/news")).json()["data"]["mappings"] == [
        {**found[0], "records": 0, "is_current": True}
    ]


async def test_of_many_records_a_sample_is_counted(
    client: httpx.AsyncClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("""
        insert into unified_data (source_id, record_key, content_hash, record_hash, raw_id, run_id, pass_id,
                                  mapping_version, first_seen_at, last_changed_at)
        select 1, n, '', '', n, 1, 1, 1, now(), now() from generate_series(1, 20000) n
    """)
    monkeypatch.setattr("kasparro.services.mappings.FEW_RECORDS", 1_000)
    monkeypatch.setattr("kasparro.services.mappings.FEW_BLOCKS", 100)
    [found] = (await client.get("/sources/quakes")).json()["data"]["mappings"]
    assert found["records_kind"] == "estimated"
    assert 10_000 < found["records"] < 40_000


async def test_a_source_by_its_name(client: httpx.AsyncClient) -> None:
    assert (await client.get("/sources/news")).json()["data"]["name"] == "news"
    for path, status in {"/sources/unknown": 404, "/sources/%00": 404, "/sources/news?x=1": 400}.items():
        assert (await client.get(path)).status_code == status
