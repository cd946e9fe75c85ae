"""Stopping a run: at a batch's edge, at once when that takes long, by a deadline; the next run goes on from there."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import DeadlineError, StoppedError
from kasparro.ingestion.coordinator import Request, hold
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from tests.fix_database import LOCK_WAITERS
from tests.fix_proxy import Way
from tests.recovery.facts import facts_of
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(20)] + [row("k5", "b"), row("k6")]


@pytest.fixture
async def whole(database: ConnectionOptions, connection: Connection) -> Any:
    """What a run comes to that nobody stops."""
    await run_source(job_of(ScriptedSource({"p": ROWS}, name="whole")), Request(lanes=2), Conditions(database))
    return await facts_of(connection, "whole")


@asynccontextmanager
async def locked(options: ConnectionOptions, table: str) -> AsyncGenerator[None]:
    """Nobody else can use the table meanwhile."""
    connection = await connect(options, application_name="kasparro:test:lock")
    await connection.execute(f"begin; lock table {table} in access exclusive mode")
    try:
        yield
    finally:
        await connection.close()


async def until_somebody_waits(connection: Connection, at_least: int = 1) -> None:
    async with asyncio.timeout(30):
        while await connection.fetchval(LOCK_WAITERS) < at_least:
            pass


async def resumed(options: ConnectionOptions, name: str) -> RunOutcome:
    return await run_source(job_of(ScriptedSource({"p": ROWS}, name=name)), Request(lanes=2), Conditions(options))


class Stopping(ScriptedSource):
    """Sets an event when it is about to read from a position."""

    def __init__(self, event: asyncio.Event, at: int, **options: Any) -> None:
        def before(_partition: str, position: int) -> None:
            if position == at:
                event.set()

        super().__init__({"p": ROWS}, name="stopped", before=before, **options)


@pytest.mark.parametrize("at", [0, 9, 21])
async def test_stopped_run_is_cancelled_with_its_checkpoint_and_the_next_ends_the_same(
    database: ConnectionOptions, connection: Connection, whole: Any, at: int
) -> None:
    stop = asyncio.Event()
    stopped = await run_source(job_of(Stopping(stop, at)), Request(lanes=2), Conditions(database, stop=stop))
    assert isinstance(stopped.error, StoppedError)
    assert stopped.row is not None
    assert (stopped.state, stopped.row["error_code"], stopped.row["fetched"]) == (
        "cancelled",
        "stopped",
        min(at + 3, 22),
    )
    assert '"position": ' in stopped.row["checkpoint_after"]
    rest = await resumed(database, "stopped")
    assert rest.row is not None
    assert (rest.row["resumes_run_id"], rest.row["pass_id"]) == (stopped.row["id"], stopped.row["pass_id"])
    assert await facts_of(connection, "stopped") == whole


async def stopped_at_once(
    options: ConnectionOptions, connection: Connection, table: str, **conditions: Any
) -> RunOutcome:
    """A run that waits for a table of another session's when it is asked, twice, to stop."""
    committed, stop = asyncio.Event(), asyncio.Event()
    source = Gated(committed)
    given = Conditions(options, stop=stop, at_once=stop, committed=lambda *_: committed.set(), **conditions)
    running = asyncio.create_task(run_source(job_of(source), Request(lanes=2), given))
    await source.first_committed.wait()
    async with locked(options, table):
        source.go_on.set()
        await until_somebody_waits(connection)
        stop.set()
        async with asyncio.timeout(30):
            return await running


class Gated(ScriptedSource):
    """Reads its second batch when the first is committed and `go_on` is set."""

    def __init__(self, committed: asyncio.Event) -> None:
        super().__init__({"p": ROWS}, name="stopped")
        self.first_committed = committed
        self.go_on = asyncio.Event()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        async for item in super().read(partition, start):
            yield item
            await self.go_on.wait()


async def test_second_signal_ends_a_run_at_once_and_rolls_back_the_batch_in_hand(
    database: ConnectionOptions, connection: Connection, whole: Any
) -> None:
    """The batch in hand waits for a table; nothing of it is there afterwards, and no session of the run."""
    stopped = await stopped_at_once(database, connection, "unified_data", stop_grace_seconds=60)
    assert isinstance(stopped.error, StoppedError)
    assert stopped.row is not None
    assert (stopped.state, stopped.row["fetched"]) == ("cancelled", 3)
    assert await connection.fetchval("select count(*)::int from unified_data u join sources s on s.id = u.source_id "
                                     "where s.name = 'stopped'") == 3  # fmt: skip
    left = "select count(*) from pg_stat_activity where datname = current_database() and application_name like $1"
    assert await connection.fetchval(left, f"kasparro:{stopped.row['id']}:%") == 0
    assert (await resumed(database, "stopped")).state == "partial"
    assert await facts_of(connection, "stopped") == whole


async def test_run_that_can_not_even_be_recorded_ends_as_well_and_the_next_one_closes_it(
    database: ConnectionOptions, connection: Connection, whole: Any
) -> None:
    stopped = await stopped_at_once(database, connection, "etl_run_batches", stop_grace_seconds=1)
    assert isinstance(stopped.error, StoppedError)
    assert (stopped.state, stopped.row) == ("cancelled", None)
    assert (await resumed(database, "stopped")).state == "partial"
    assert await facts_of(connection, "stopped") == whole
    states = await connection.fetch("select state from etl_runs where source_id = 2 order by id")
    assert [item["state"] for item in states] == ["interrupted", "partial"]


async def test_run_that_is_given_up_in_its_final_transaction_is_finished_by_the_next(
    database: ConnectionOptions, connection: Connection, whole: Any
) -> None:
    source, stop = ScriptedSource({"p": ROWS}, name="stopped"), asyncio.Event()
    async with locked(database, "alerts"):  # which nothing before it asks
        given = Conditions(database, stop=stop, at_once=stop, stop_grace_seconds=1)
        running = asyncio.create_task(run_source(job_of(source), Request(lanes=2), given))
        await until_somebody_waits(connection)
        stop.set()
        outcome = await running
    assert isinstance(outcome.error, StoppedError)
    rest = await resumed(database, "stopped")
    assert (rest.state, rest.row and rest.row["fetched"]) == ("succeeded", 0)
    assert await facts_of(connection, "stopped") == whole


async def test_stop_ends_the_wait_for_another_run(database: ConnectionOptions) -> None:
    job, stop = job_of(ScriptedSource({"p": ROWS})), asyncio.Event()
    async with hold(database, job):
        stop.set()
        outcome = await run_source(job, Request(), Conditions(database, stop=stop))
    assert isinstance(outcome.error, StoppedError)
    assert (outcome.state, outcome.row) == ("cancelled", None)


@pytest.mark.parametrize("own", [True, False])
async def test_run_past_its_deadline_fails_and_the_next_goes_on(
    database: ConnectionOptions, connection: Connection, whole: Any, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """The deadline of the source comes before that of all runs."""
    monkeypatch.setattr("kasparro.ingestion.pipeline.STOP_GRACE_SECONDS", 0.05)
    over = asyncio.Event()

    class Slow(ScriptedSource):
        async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
            async for item in super().read(partition, start):
                yield item
                await over.wait()

    job = replace(job_of(Slow({"p": ROWS}, name="late")), deadline=timedelta(seconds=0.3) if own else None)
    conditions = Conditions(database, deadline_seconds=100_000 if own else 0.3)
    failed = await run_source(job, Request(lanes=2), conditions)
    assert isinstance(failed.error, DeadlineError)
    assert failed.row is not None
    assert (failed.state, failed.row["error_code"]) == ("failed", "deadline")
    assert failed.row["fetched"] <= 3
    assert (await resumed(database, "late")).state == "partial"
    assert await facts_of(connection, "late") == whole


@pytest.mark.parametrize("signals", [1, 2])
async def test_stop_does_not_wait_for_a_database_that_is_silent(way: Way, connection: Connection, signals: int) -> None:
    """No byte passes any more, in the middle of a load: by a signal within the grace, by two at once."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def stall(_partition: str, position: int) -> None:
        if position == 12:
            way.stall()
            stop.set()
            if signals == 2:
                at_once.set()

    source = ScriptedSource({"p": ROWS}, name="stopped", before=stall)
    grace_seconds = 1 if signals == 1 else 20
    conditions = Conditions(way.options, stop=stop, at_once=at_once, stop_grace_seconds=grace_seconds)
    async with asyncio.timeout(10):
        outcome = await run_source(job_of(source), Request(lanes=2), conditions)
    assert isinstance(outcome.error, StoppedError)
    assert (outcome.state, outcome.row) == ("cancelled", None)
    way.flow()
    assert (await resumed(way.options, "stopped")).error is None
    assert await connection.fetchval("select count(*)::int from unified_data") == 17
    facts = await facts_of(connection, "stopped")
    assert (facts.fetched, facts.digest) == (22, facts.recomputed)
