"""`/stats`: what runs did, of each source and of all; the same whichever process asks."""

import httpx

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from tests.scripted import ScriptedSource, job_of, row
from tests.test_api.operating import write_history

NOTHING = dict.fromkeys(("inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted"), 0)
NO_RUN = dict.fromkeys(
    ("succeeded", "partial", "failed", "systemic", "interrupted", "cancelled", "paused", "queued", "running"), 0
)


async def test_stats_of_a_fresh_database_are_zero(client: httpx.AsyncClient) -> None:
    data = (await client.get("/stats")).json()["data"]
    assert data == {
        "all": {
            "runs": {"ended": 0, **NO_RUN},
            "records": {"processed": 0, **NOTHING},
            "duration_seconds": {"runs": 0, "last": None, "mean": None, "p50": None, "p95": None, "max": None},
            "last_success": None,
            "last_failure": None,
        },
        "sources": [],
    }


async def test_stats_of_each_source_and_of_all(client: httpx.AsyncClient, connection: Connection) -> None:
    await write_history(connection)
    await connection.execute("insert into etl_runs (source_id, trigger, state) values (2, 'api', 'queued')")
    data = (await client.get("/stats")).json()["data"]
    news, quakes = data["sources"]
    assert quakes == {
        "name": "quakes",
        "type": "csv",
        "anomalies": [],
        "overdue": None,
        "runs": {**NO_RUN, "ended": 3, "succeeded": 1, "partial": 1, "interrupted": 1},
        "records": {**NOTHING, "processed": 8, "inserted": 5, "updated": 2, "rejected": 1},
        "duration_seconds": {"runs": 2, "last": 4.0, "mean": 3.0, "p50": 3.0, "p95": 3.9, "max": 4.0},
        "last_success": {"run_id": 3, "source": "quakes", "finished_at": "2026-01-03T00:00:04Z"},
        "last_failure": None,
    }
    assert news["runs"] == {**NO_RUN, "ended": 1, "failed": 1, "queued": 1}
    assert news["last_success"] is None
    assert news["last_failure"] == {
        "run_id": 2, "source": "news", "finished_at": "2026-01-02T00:00:01Z", "state": "failed", "code": "upstream",
        "reason": "https://***@feed.example.org/x?token=***: HTTP 500",
    }  # fmt: skip
    assert data["all"] == {
        "runs": {**NO_RUN, "ended": 4, "succeeded": 1, "partial": 1, "interrupted": 1, "failed": 1, "queued": 1},
        "records": quakes["records"],
        "duration_seconds": {"runs": 3, "last": 4.0, "mean": 7 / 3, "p50": 2.0, "p95": 3.8, "max": 4.0},
        "last_success": quakes["last_success"],
        "last_failure": news["last_failure"],
    }


async def test_stats_are_those_of_the_runs(client: httpx.AsyncClient, database: ConnectionOptions) -> None:
    """Real runs: one that loads, one that finds nothing new, one that fails."""
    source = ScriptedSource({"p": [row("a"), row("b"), row(None), row("c", skip=True)]})
    for _ in range(2):
        await run_source(job_of(source), Request(), Conditions(database))
    source.before = fail
    await run_source(job_of(source), Request(), Conditions(database))
    totals = (await client.get("/stats")).json()["data"]["all"]
    assert totals["records"] == {
        **NOTHING, "processed": 8, "inserted": 2, "unchanged": 2, "rejected": 2, "filtered": 2,
    }  # fmt: skip
    assert totals["runs"] == {**NO_RUN, "ended": 3, "partial": 2, "failed": 1}
    assert (totals["duration_seconds"]["runs"], totals["last_success"]["run_id"]) == (3, 2)
    failure = totals["last_failure"]
    assert (failure["run_id"], failure["code"], failure["reason"]) == (3, "source", "it is down")


def fail(_partition: str, _position: int) -> None:
    raise SourceError("it is down")


async def test_stats_take_no_parameters(client: httpx.AsyncClient) -> None:
    assert (await client.get("/stats?source=quakes")).status_code == 400


async def test_stats_tell_what_is_unusual_about_the_latest_run(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    await write_history(connection)
    await connection.execute(
        "insert into run_anomalies (run_id, source_id, measure, expected_low, expected_high, seen, score, message) "
        "select id, source_id, 'volume', 4100, 4600, 12, 97.5, 'fetched 12 records' from etl_runs where id in (1, 3)"
    )
    news, quakes = (await client.get("/stats")).json()["data"]["sources"]
    assert quakes["anomalies"] == [
        {
            "run_id": 3, "measure": "volume", "expected_low": 4100.0, "expected_high": 4600.0, "seen": 12.0,
            "score": 97.5, "message": "fetched 12 records",
        }
    ]  # fmt: skip
    assert news["anomalies"] == []


async def test_stats_tell_that_a_source_is_late_by_its_own_rhythm(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    await write_history(connection)
    await connection.execute("delete from etl_run_batches; delete from etl_runs")
    await connection.execute(
        "insert into etl_runs (source_id, trigger, state, started_at, finished_at) "
        "select 1, 'schedule', 'succeeded', at, at from generate_series(0, 19) n, "
        "lateral (select '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour' as at) m"
    )
    await connection.execute("update sources set last_success_at = '2026-01-01T19:00:00Z' where id = 1")
    overdue = (await client.get("/stats")).json()["data"]["sources"][1]["overdue"]
    assert overdue["last_success_at"] == "2026-01-01T19:00:00Z"
    assert overdue["message"].endswith("since the last success, up to 93 min was usual")
    assert 3600 < overdue["expected_high"] < 7200 < overdue["seen"]
