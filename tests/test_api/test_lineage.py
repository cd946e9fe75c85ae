"""`GET /data/{id}/lineage`: a record's way from its first payload to what it is now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.exact_json import parse
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.operations.retention import apply
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import Retention
from kasparro.schemas.pages.lineage import LineageAnswer
from kasparro.services import raw_partitions
from kasparro.services.reject_lists import RejectFilter
from tests.scripted import ScriptedSource, job_of, key_of, row


def with_tombstones(source: ScriptedSource) -> SourceJob:
    transformer = Transformer(source.normalize, key_of, is_tombstone=lambda payload: bool(payload.get("dead")))
    return job_of(source, transformer=transformer)


async def load(database: ConnectionOptions, *payloads: dict[str, Any]) -> int:
    """Load them with three lanes, with others around them; the number of the run."""
    records = [row(f"other {n}") for n in range(9)] + list(payloads)
    outcome = await run_source(with_tombstones(ScriptedSource({"p": records})), Request(lanes=3), Conditions(database))
    assert outcome.row is not None, outcome.error
    return int(outcome.row["id"])


async def id_of(connection: Connection, key: str = "k") -> int:
    return await connection.fetchval("select id from unified_data where record_key = $1", key)


async def lineage(client: httpx.AsyncClient, record_id: int, **parameters: Any) -> dict[str, Any]:
    response = await client.get(f"/data/{record_id}/lineage", params=parameters)
    assert response.status_code == 200, response.text
    LineageAnswer.model_validate_json(response.content)
    return parse(response.text)


def shown(changes: list[dict[str, Any]] | None) -> list[tuple[Any, ...]] | None:
    return None if changes is None else [tuple(change.values()) for change in changes]


async def test_history_of_a_record_that_changed_was_deleted_revived_and_requeued(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    first = await load(database, row("k", "a", nested={"x": 1, "y": [1, 2]}))
    second = await load(database, row("k", "a", nested={"x": 2, "y": [1, 3, 4]}, more=True))
    rejected = await load(database, row("k", "b", bad=True))
    third = await load(database, {"key": "k", "dead": 1})
    record = await id_of(connection)
    body = await lineage(client, record)
    assert (body["data"]["record"]["deletion"], body["data"]["record"]["deleted_at"] is not None) == ("tombstone", True)

    fourth = await load(database, row("k", "c"))
    data = (await lineage(client, record))["data"]
    assert (data["record"]["title"], data["record"]["deleted_at"], data["history"]) == ("c", None, "complete")
    assert data["mapping"]["text"] == {"mapping": "1"}
    assert data["mapping"]["id"] == data["record"]["mapping_version"]
    assert data["run"]["id"] == fourth
    assert [payload["run"]["id"] for payload in data["payloads"]] == [fourth, third, second, first]
    assert [payload["locator"] for payload in data["payloads"]] == ["p:10"] * 4
    assert data["payloads"][3]["payload"] == {"key": "k", "title": "a", "nested": {"x": 1, "y": [1, 2]}}
    assert shown(data["payloads"][3]["changes"]) is None
    assert sorted(shown(data["payloads"][2]["changes"]) or []) == [
        ("/more", "added", None, True),
        ("/nested/x", "changed", 1, 2),
        ("/nested/y/1", "changed", 2, 3),
        ("/nested/y/2", "added", None, 4),
    ]
    assert sorted(item["pointer"] for item in data["payloads"][0]["changes"]) == ["/dead", "/title"]
    (reject,) = data["rejects"]
    assert (reject["run_id"], reject["code"], reject["state"]) == (rejected, "bad", "resolved")
    assert (await client.get(f"/raw/{reject['raw_id']}")).json()["data"]["payload"]["title"] == "b"


async def test_each_payload_is_told_with_its_batch(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    """Of a first load, whose rows are written in a savepoint, and of a later one; whatever the lane."""
    for title in ("a", "b"):
        await load(database, *(row(f"k{n}", title) for n in range(12)))
    for n in range(12):
        data = (await lineage(client, await id_of(connection, f"k{n}")))["data"]
        assert len(data["payloads"]) == 2
        for payload in data["payloads"]:
            batch, place = payload["batch"], int(payload["locator"].removeprefix("p:"))
            assert (batch["partition"], batch["ordinal"] - 3 < place <= batch["ordinal"]) == ("p", True)


async def test_batch_that_cannot_be_told_is_not_guessed(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    """As after a restore, where all rows of a table come by one transaction."""
    await load(database, *(row(f"k{n}") for n in range(12)))
    record = await id_of(connection, "k1")
    assert (await lineage(client, record))["data"]["payloads"][0]["batch"] is not None
    for change in ("etl_run_batches set seq = seq", "raw_csv_data set locator = locator"):
        await connection.execute(f"update {change}")
        assert (await lineage(client, record))["data"]["payloads"][0]["batch"] is None


async def test_requeued_reject_is_what_the_record_is_made_from(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    await load(database, row("k", "a"))
    rejected = await load(database, row("k", "b", bad=True))
    mended = job_of(
        ScriptedSource({"p": []}),
        mapping="2",
        transformer=Transformer(lambda payload: {"record_key": key_of(payload), "title": payload["title"]}, key_of),
    )
    job, request = requeue_job(mended, RejectFilter(), database), requeue_request(RejectFilter(), Request())
    outcome = await run_source(job, request, Conditions(database))
    assert outcome.row is not None
    data = (await lineage(client, await id_of(connection)))["data"]
    assert (data["record"]["title"], data["mapping"]["text"]) == ("b", {"mapping": "2"})
    assert (data["run"]["id"], data["run"]["operation"]) == (outcome.row["id"], "requeue")
    assert data["payloads"][0]["run"]["id"] == rejected
    assert [reject["state"] for reject in data["rejects"]] == ["requeued"]


async def test_payloads_come_in_pages_that_join(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    for n in range(5):
        await load(database, row("k", f"title {n}"))
    record = await id_of(connection)
    response = await client.get(f"/data/{record}/lineage?limit=2")
    found: list[dict[str, Any]] = []
    ends: list[str] = []
    while True:
        body = response.json()
        found += body["data"]["payloads"]
        ends.append(body["data"]["history"])
        if body["page"]["next_cursor"] is None:
            break
        assert response.links["next"]["url"].startswith(f"/data/{record}/lineage?")
        response = await client.get(response.links["next"]["url"])
    assert [payload["payload"]["title"] for payload in found] == [f"title {n}" for n in (4, 3, 2, 1, 0)]
    assert [change["before"] for payload in found[:-1] for change in payload["changes"]] == [
        f"title {n}" for n in (3, 2, 1, 0)
    ]
    assert ends == ["more", "more", "complete"]
    stolen = (await client.get(f"/data/{record}/lineage?limit=1")).json()["page"]["next_cursor"]
    assert (await client.get(f"/data/{record + 1}/lineage", params={"cursor": stolen})).status_code == 400


async def test_history_says_where_retention_has_cut_it(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    for title in ("a", "b", "c"):
        await load(database, row("k", title))
    record, old = await id_of(connection), datetime.now(UTC) - timedelta(days=400)
    async with connection.transaction():
        await raw_partitions.ensure(connection, old)
    ids = [
        item["id"] for item in await connection.fetch("select id from raw_csv_data where record_key = 'k' order by id")
    ]
    await connection.execute("update raw_csv_data set fetched_at = $1::timestamptz where id < $2::bigint", old, ids[2])
    ages = {"scripted": Retention.model_validate({"raw": "90d"})}
    await apply(database, ages, datetime.now(UTC))
    data = (await lineage(client, record))["data"]
    assert [payload["id"] for payload in data["payloads"]] == [ids[2]]
    assert (data["payloads"][0]["changes"], data["history"], data["dropped_raw_id"]) == (None, "dropped", ids[1])
    others = (await lineage(client, await id_of(connection, "other 1")))["data"]
    assert [(payload["kept"], payload["batch"]) for payload in others["payloads"]] == [(True, None)]
    assert others["history"] == "complete"


async def test_numbers_of_payloads_are_as_they_came(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    await load(database, row("k"))
    await connection.execute(
        "update raw_csv_data set payload = '{\"n\": 1.50, \"big\": 12345678901234567890.1203}' where record_key = 'k'"
    )
    text = (await client.get(f"/data/{await id_of(connection)}/lineage")).text
    assert '"n": 1.50' in text
    assert '"big": 12345678901234567890.1203' in text


async def test_unchanged_lineage_is_not_sent_again(
    client: httpx.AsyncClient, database: ConnectionOptions, connection: Connection
) -> None:
    await load(database, row("k"))
    path = f"/data/{await id_of(connection)}/lineage"
    tag = (await client.get(path)).headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/data/99/lineage", 404, "not_found"),
        (f"/data/{2**63}/lineage", 404, "not_found"),
        ("/data/x/lineage", 400, "parameter"),
        ("/data/1/lineage?limit=0", 400, "parameter"),
        ("/data/1/lineage?limit=101", 400, "parameter"),
        ("/data/1/lineage?limt=1", 400, "parameter"),
        ("/data/1/lineage?limit=1&limit=2", 400, "parameter"),
        ("/data/1/lineage?cursor=x", 400, "parameter"),
    ],
)
async def test_what_is_not_there_or_not_understood(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (status, code)
