"""`/runs/compare` and `/compare-runs`: two runs side by side, and records page by page."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from tests.scripted import Records, ScriptedSource, job_of, row

BASE = [row(f"k{number}", value=Decimal("1.50"), nested={"price": number}) for number in range(6)]
TARGET = [
    row(f"k{number}", value=Decimal("1.50") if number % 2 else 2, nested={"price": number}) for number in range(1, 8)
]


async def load(database: ConnectionOptions, records: Records, name: str = "scripted", **job: Any) -> int:
    source = ScriptedSource({"https://user:hidden@x.example/f": records}, name=name)
    outcome = await run_source(job_of(source, **job), Request(), Conditions(database))
    assert outcome.error is None
    assert outcome.row is not None
    return outcome.row["id"]


@pytest.fixture
async def runs(database: ConnectionOptions) -> tuple[int, int]:
    """Run 2 lacks k0, has another value in k2 and k4, and has k6 and k7 as well."""
    return await load(database, BASE), await load(database, TARGET)


async def test_two_runs_are_shown_side_by_side(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    response = await client.get(f"/runs/compare?base={runs[0]}&target={runs[1]}")
    assert response.status_code == 200, response.text
    body = response.json()
    found = body["data"]
    assert (found["verdict"], found["differs"], found["swapped"]) == (
        "source changed: 2 new, 2 changed, 1 gone", True, False,
    )  # fmt: skip
    assert (found["base"]["id"], found["target"]["id"], found["source"]) == (*runs, "scripted")
    assert found["base"]["coverage"] == {"https://***@x.example/f": "full"}
    counters = {each["name"]: each for each in found["counters"]}
    assert counters["fetched"] == {"name": "fetched", "base": 6, "target": 7, "delta": 1, "relative": 0.166667}
    assert counters["inserted"] == {"name": "inserted", "base": 6, "target": 2, "delta": -4, "relative": -0.666667}
    counted = [each[name] for each in found["counters"] for name in ("base", "target", "delta")]
    assert {type(number) for number in counted} == {int}, "what is counted is whole"
    assert [each["name"] for each in found["durations"]][:1] == ["duration"]
    assert [(cause["what"], cause["changed"]) for cause in found["causes"]] == [
        ("source", True), ("mapping", False), ("configuration", False), ("code", False),
    ]  # fmt: skip
    assert found["records"]["totals"] == {
        "new": 2, "changed": 2, "deleted": 0, "gone": 1, "remapped": 0, "unchanged": 3,
    }  # fmt: skip
    assert [(item["kind"], item["key"]) for item in found["records"]["items"]] == [
        ("new", "k6"), ("new", "k7"), ("changed", "k2"), ("changed", "k4"), ("gone", "k0"),
    ]  # fmt: skip
    assert body["page"] == {"limit": 50, "next_cursor": None, "has_more": False, "total": 5, "total_kind": "exact"}
    (change,) = found["records"]["items"][2]["changes"]
    assert change == {"pointer": "/value", "change": "changed", "before": 1.5, "after": 2, "feeds": []}
    assert "hidden" not in response.text
    assert '"after":2,' in response.text, "numbers are as they came"


async def test_both_paths_answer_the_same(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    one = (await client.get(f"/runs/compare?base={runs[0]}&target={runs[1]}")).json()["data"]
    other = (await client.get(f"/compare-runs?run1_id={runs[0]}&run2_id={runs[1]}")).json()["data"]
    assert one == other
    swapped = (await client.get(f"/compare-runs?run1_id={runs[1]}&run2_id={runs[0]}")).json()["data"]
    assert swapped == {**one, "swapped": True}


async def test_records_are_walked_by_cursor(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    path: str | None = f"/runs/compare?base={runs[0]}&target={runs[1]}&limit=2"
    pages: list[list[str]] = []
    while path is not None:
        response = await client.get(path)
        pages.append([item["key"] for item in response.json()["data"]["records"]["items"]])
        assert response.json()["page"]["total"] == 5
        path = response.links["next"]["url"] if "next" in response.links else None
    assert pages == [["k6", "k7"], ["k2", "k4"], ["k0"]]


async def test_one_kind_of_records_is_listed(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    expected = {
        "new": "k6 k7",
        "changed": "k2 k4",
        "gone": "k0",
        "unchanged": "k1 k3 k5",
        "deleted": "",
        "remapped": "",
    }
    for kind, keys in expected.items():
        path = f"/runs/compare?base={runs[0]}&target={runs[1]}&records={kind}"
        body = (await client.get(path)).json()
        assert " ".join(item["key"] for item in body["data"]["records"]["items"]) == keys
        assert body["page"]["total"] == len(keys.split())


async def test_a_cursor_belongs_to_its_comparison(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    first = f"/runs/compare?base={runs[0]}&target={runs[1]}"
    cursor = (await client.get(f"{first}&limit=1")).json()["page"]["next_cursor"]
    for query in (f"base={runs[1]}&target={runs[0]}", f"base={runs[0]}&target={runs[1]}&records=gone"):
        response = await client.get(f"/runs/compare?{query}&cursor={cursor}")
        assert (response.status_code, response.json()["code"]) == (400, "parameter")


async def test_an_answer_is_not_sent_twice(client: httpx.AsyncClient, runs: tuple[int, int]) -> None:
    path = f"/runs/compare?base={runs[0]}&target={runs[1]}"
    tag = (await client.get(path)).headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_what_cannot_be_compared_is_refused(
    client: httpx.AsyncClient, runs: tuple[int, int], database: ConnectionOptions, connection: Connection
) -> None:
    other = await load(database, BASE, "other")
    queued = await connection.fetchval(
        "insert into etl_runs (source_id, trigger, state) values (1, 'api', 'queued') returning id"
    )
    refused = {
        f"/runs/compare?base={runs[0]}&target={other}": (422, "incomparable"),
        f"/runs/compare?base={runs[0]}&target={runs[0]}": (422, "incomparable"),
        f"/runs/compare?base={runs[0]}&target={queued}": (422, "incomparable"),
        f"/runs/compare?base={runs[0]}&target=99": (404, "not_found"),
        f"/compare-runs?run1_id=99&run2_id={runs[0]}": (404, "not_found"),
        f"/runs/compare?base={runs[0]}&target={2**63 - 1}": (404, "not_found"),
        f"/runs/compare?base={runs[0]}&target={2**63}": (400, "parameter"),
        f"/runs/compare?base={runs[0]}": (400, "parameter"),
        "/compare-runs": (400, "parameter"),
        f"/runs/compare?base={runs[0]}&target=x": (400, "parameter"),
        f"/runs/compare?base={runs[0]}&target={runs[1]}&limit=0": (400, "parameter"),
        f"/runs/compare?base={runs[0]}&target={runs[1]}&records=old": (400, "parameter"),
        f"/runs/compare?base={runs[0]}&target={runs[1]}&kind=new": (400, "parameter"),
        f"/runs/compare?base={runs[0]}&target={runs[1]}&cursor=x": (400, "parameter"),
    }
    for path, expected in refused.items():
        response = await client.get(path)
        assert (path, response.status_code, response.json()["code"]) == (path, *expected)
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_run_that_is_queued_or_at_work_says_so(
    client: httpx.AsyncClient, runs: tuple[int, int], connection: Connection
) -> None:
    await connection.execute("update etl_runs set state = 'running', finished_at = null where id = $1", runs[1])
    body = (await client.get(f"/runs/compare?base={runs[0]}&target={runs[1]}")).json()
    assert body["data"]["notes"] == [
        f"records: run {runs[1]} has not ended: compare again when it has, or, if its process died, after the next run"
    ]
    assert set(body["data"]["records"]["totals"].values()) == {None}
    assert (body["data"]["records"]["items"], body["page"]["total"], body["page"]["total_kind"]) == ([], None, "none")
    counters = {each["name"]: each["target"] for each in body["data"]["counters"]}
    assert counters["fetched"] == 7


async def test_a_run_shows_what_it_rejected_and_what_was_found(
    client: httpx.AsyncClient, runs: tuple[int, int], database: ConnectionOptions, connection: Connection
) -> None:
    bad = await load(database, [*BASE, row("b1", bad=True), row("b2", bad=True), row(None)])
    await connection.execute(
        "insert into run_anomalies (run_id, source_id, measure, expected_low, expected_high, seen, score, message) "
        "values ($1, 1, 'volume', 1, 2, 9, 5, 'far more than usual')", bad,
    )  # fmt: skip
    await connection.execute(
        "insert into schema_drift_events (source_id, run_id, kind, field, expected, seen, share, confidence, parts) "
        "values (1, $1, 'field_added', 'x', '{}', '{}', 1, 1, '{}')", bad,
    )  # fmt: skip
    found = (await client.get(f"/runs/{bad}")).json()["data"]
    assert [(each["code"], each["field"], each["payloads"], each["open"]) for each in found["rejects"]] == [
        ("bad", "bad", 2, 2), ("key_missing", "key", 1, 1),
    ]  # fmt: skip
    assert found["rejects"][0]["locator"] == "https://***@x.example/f:7"
    assert (found["rejects"][0]["record_key"], found["rejects"][0]["message"]) == ("b1", "says so itself")
    assert found["more_rejects"] is False
    assert [each["message"] for each in found["anomalies"]] == ["far more than usual"]
    assert [(each["kind"], each["field"]) for each in found["drift"]] == [("field_added", "x")]
    assert found["quality"] == []
    assert found["coverage"] == {"https://***@x.example/f": "full"}
    assert (await client.get(f"/runs/{runs[0]}")).json()["data"]["rejects"] == []


async def test_an_unknown_kind_of_records_is_told_the_known_ones(
    client: httpx.AsyncClient, runs: tuple[int, int]
) -> None:
    for path in (
        f"/runs/compare?base={runs[0]}&target={runs[1]}",
        f"/compare-runs?run1_id={runs[0]}&run2_id={runs[1]}",
    ):
        problem = (await client.get(f"{path}&records=foo")).json()
        expected = "expected one of new, changed, deleted, gone, remapped, unchanged, differing"
        assert problem["errors"] == [{"parameter": "records", "detail": expected}]
