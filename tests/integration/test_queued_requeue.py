"""A requeue that was asked for over the API: claimed by the scheduler, beside the timetable."""

import asyncio

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import RunActiveError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.operations.queueing import queue_requeue
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import locks, run_pages, runs, sources, workers
from kasparro.services.reject_lists import RejectFilter
from kasparro.workers.scheduler import Scheduled, Scheduler
from tests.integration.test_requeue import mended
from tests.integration.test_scheduler import EveryMinutes, states, until
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row("a", bad=True), row("b"), row("c", bad="worse")]


async def test_queued_requeue_is_carried_out_and_moves_no_timetable(
    database: ConnectionOptions, connection: Connection
) -> None:
    source, stop = ScriptedSource({"p": ROWS}, name="s"), asyncio.Event()
    assert (await run_source(job_of(source), Request(), Conditions(database))).state == "partial"
    before = await runs.newest(connection, "s")
    await workers.join(connection, "a-worker")
    [run_id] = await queue_requeue(connection, chosen=RejectFilter(code="bad", ids=(1,)), key=None)
    with pytest.raises(RunActiveError, match=f"s .run {run_id}"):
        await queue_requeue(connection, chosen=RejectFilter(), key=None)
    work = asyncio.create_task(
        Scheduler([Scheduled(mended(source), EveryMinutes(100_000))], Conditions(database, stop=stop)).run()
    )
    await until(connection, "select finished_at is not null from etl_runs where id = $1", run_id)
    stop.set()
    await work

    assert await states(connection, "s") == [("partial", "cli"), ("succeeded", "api")]
    row_of = await run_pages.find(connection, run_id)
    assert (row_of["operation"], row_of["fetched"], row_of["inserted"]) == ("requeue", 1, 1)
    found = await connection.fetch("select state from rejected_records order by id")
    assert [item["state"] for item in found] == ["requeued", "open"]
    assert await runs.newest(connection, "s") == before
    assert len(source.starts) == 1


async def test_queued_requeue_waits_for_whoever_holds_the_source(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kasparro.ingestion.locking.LOCK_WAIT_SECONDS", 0.0)
    monkeypatch.setattr("kasparro.workers.scheduler.POLL_SECONDS", 0.05)
    source, stop = ScriptedSource({"p": ROWS}, name="s"), asyncio.Event()
    await run_source(job_of(source), Request(), Conditions(database))
    found = await sources.get(connection, "s")
    await workers.join(connection, "a-worker")
    [run_id] = await queue_requeue(connection, chosen=RejectFilter(), key=None)
    assert await locks.try_lock(connection, found.id)
    work = asyncio.create_task(
        Scheduler([Scheduled(mended(source), EveryMinutes(100_000))], Conditions(database, stop=stop)).run()
    )
    await until(connection, "select count(*) > 0 from workers where name <> 'a-worker'")
    assert await connection.fetchval("select state from etl_runs where id = $1", run_id) == "queued"
    await locks.unlock(connection, found.id)
    await until(connection, "select finished_at is not null from etl_runs where id = $1", run_id)
    stop.set()
    await work
    assert (await run_pages.find(connection, run_id))["state"] == "partial"
