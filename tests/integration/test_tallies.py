"""What the HTTP client did for a source: written with the run's end, nothing twice, whatever becomes of the run."""

import asyncio
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import ContentionError, SourceError
from kasparro.ingestion.coordinator import Request, hold
from kasparro.ingestion.http.reporting import Observation
from kasparro.ingestion.http.tally import Tallies, Tally
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.tallying import Tallying
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{number}") for number in range(6)]
COUNTS = "select name, label, value from metric_counters where name ~ '^(http_client|rate_limit|retries)' order by 1, 2"


def asked(status: int | None = 200, **more: Any) -> Observation:
    values: dict[str, Any] = {"reason": None, "seconds": 0.5, "waited_seconds": 0.25, **more}
    return Observation(source="scripted", kind="request", status=status, **values)


def again(status: int | None, reason: Any) -> Observation:
    return Observation("scripted", "retry", status, reason, 0.0, 2.0)


async def run(options: ConnectionOptions, job: SourceJob, **request: Any) -> RunOutcome:
    return await run_source(job, Request(**request), Conditions(options))


async def counts(connection: Connection) -> dict[tuple[str, str], float]:
    return {(row["name"], row["label"]): row["value"] for row in await connection.fetch(COUNTS)}


async def test_a_run_writes_what_was_asked_for_it(database: ConnectionOptions, connection: Connection) -> None:
    tallies = Tallies()
    for seen in (
        asked(),
        asked(304, seconds=0.02),
        asked(503, seconds=7),
        asked(None, reason="timeout", seconds=70),
        asked(None, seconds=0, waited_seconds=0),
        again(503, "status"),
        again(None, "timeout"),
    ):
        tallies.observe(seen)
    outcome = await run(database, job_of(ScriptedSource({"p": ROWS}), tally=tallies.of("scripted")))
    assert outcome.state == "succeeded"
    assert await counts(connection) == {
        ("http_client_requests_total", "2xx"): 1,
        ("http_client_requests_total", "3xx"): 1,
        ("http_client_requests_total", "5xx"): 1,
        ("http_client_requests_total", "cancelled"): 1,
        ("http_client_requests_total", "error"): 1,
        ("http_client_request_duration_seconds_bucket", "0.01"): 1,
        ("http_client_request_duration_seconds_bucket", "0.025"): 1,
        ("http_client_request_duration_seconds_bucket", "0.5"): 1,
        ("http_client_request_duration_seconds_bucket", "10"): 1,
        ("http_client_request_duration_seconds_bucket", "+Inf"): 1,
        ("http_client_request_duration_seconds_sum", ""): 77.52,
        ("rate_limit_wait_seconds_total", ""): 1,
        ("retries_total", "status_503"): 1,
        ("retries_total", "timeout"): 1,
    }


async def test_a_failed_run_writes_it_too_and_the_next_one_only_what_came_since(
    database: ConnectionOptions, connection: Connection
) -> None:
    tally = Tally()

    def failing(_partition: str, position: int) -> None:
        tally.observe(asked(500))
        if position:
            raise SourceError("gone")

    failed = await run(database, job_of(ScriptedSource({"p": ROWS}, before=failing), tally=tally))
    assert failed.state == "failed"
    assert (await counts(connection))["http_client_requests_total", "5xx"] == 2
    tally.observe(asked())
    assert (await run(database, job_of(ScriptedSource({"p": ROWS}), tally=tally))).state == "succeeded"
    found = await counts(connection)
    assert (found["http_client_requests_total", "5xx"], found["http_client_requests_total", "2xx"]) == (2, 1)


async def test_what_is_rolled_back_is_written_later_and_once(
    database: ConnectionOptions, connection: Connection
) -> None:
    tally = Tally()
    tally.observe(asked())
    async with hold(database, job_of(ScriptedSource({"p": ROWS}))):
        source_id = await connection.fetchval("select id from sources")
    tallying = Tallying(tally, source_id)

    async def refused() -> None:
        async with tallying.transaction(connection):
            tally.observe(asked())
            raise SourceError("no")

    with pytest.raises(SourceError):
        await refused()
    assert await counts(connection) == {}
    async with tallying.transaction(connection):
        pass
    await tallying.write(connection)
    assert (await counts(connection))["http_client_requests_total", "2xx"] == 2


async def test_a_long_run_writes_while_it_reads(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each ping of the connection that holds the source's lock; not at the end, which a kill keeps from coming."""
    monkeypatch.setattr("kasparro.ingestion.connections.PING_SECONDS", 0.01)
    tally, written = Tally(), asyncio.Event()
    tally.observe(asked())
    async with hold(database, job_of(ScriptedSource({"p": ROWS}), tally=tally)) as coordinator:
        write = coordinator.live.when_pinged
        assert write is not None

        async def noticed(pinged: Connection) -> None:
            await write(pinged)
            written.set()

        coordinator.live.when_pinged = noticed
        pinging = asyncio.create_task(coordinator.live.keep_alive())
        async with asyncio.timeout(10):
            await written.wait()
        pinging.cancel()
    assert (await counts(connection))["http_client_requests_total", "2xx"] == 1


async def test_what_a_lock_is_in_the_way_of_waits_for_the_next_time(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hold(database, job_of(ScriptedSource({"p": ROWS}))):
        source_id = await connection.fetchval("select id from sources")
    tally = Tally()
    tally.observe(asked())

    async def in_the_way(*_: object) -> None:
        raise ContentionError("lock timeout")

    with monkeypatch.context() as patched:
        patched.setattr("kasparro.services.metric_counters.add", in_the_way)
        await Tallying(tally, source_id).write(connection)
    await Tallying(tally, source_id).write(connection)
    assert (await counts(connection))["http_client_requests_total", "2xx"] == 1
