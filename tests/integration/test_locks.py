"""Who may write: stopped writers, session settings, and runs whose server sessions end under them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import ConnectionLostError, RunConflictError
from kasparro.ingestion import connections
from kasparro.ingestion.connections import COORDINATOR_SETTINGS, LANE_SETTINGS, LiveConnection
from kasparro.ingestion.coordinator import Request, RunPlan, hold
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.services import checkpoints, locks
from tests.recovery.facts import facts_of
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(20)] + [row("k5", "b"), row("k6")]


async def claim(options: ConnectionOptions, *, stuck_after_seconds: float) -> RunPlan:
    job = job_of(ScriptedSource({"p": ROWS}))
    async with hold(options, job, stuck_after_seconds=stuck_after_seconds) as coordinator:
        return await coordinator.claim(job, Request())


@asynccontextmanager
async def stopped_writer(options: ConnectionOptions, plan: RunPlan) -> AsyncGenerator[asyncio.Task[Any]]:
    """A lane that holds its checkpoint row inside a COPY whose end never comes, as a stopped process does."""
    lane = await connect(options, application_name=locks.application_name(plan.stamp.run_id, 0))
    copying, resumed = asyncio.Event(), asyncio.Event()

    async def rows() -> AsyncIterator[bytes]:
        yield b"by hand\t1\n"
        copying.set()
        await resumed.wait()

    async def write() -> None:
        async with lane.transaction():
            await checkpoints.fence(lane, plan.stamp, "p", plan.partitions[0].lanes[0])
            await lane.execute("create temporary table half (title text, number integer) on commit drop")
            await lane.copy_to_table("half", source=rows())

    writing = asyncio.create_task(write())
    await copying.wait()
    try:
        yield writing
    finally:
        resumed.set()
        await asyncio.gather(writing, return_exceptions=True)
        lane.terminate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that waits 200 ms for a row, not 5 s."""
    monkeypatch.setitem(COORDINATOR_SETTINGS, "lock_timeout", "200ms")


@pytest.mark.usefixtures("impatient")
async def test_writer_stopped_inside_a_copy_is_ended_by_the_next_claim(
    database: ConnectionOptions, connection: Connection
) -> None:
    old = await claim(database, stuck_after_seconds=60)
    async with stopped_writer(database, old) as writing:
        new = await claim(database, stuck_after_seconds=0.1)
        assert new.resumes_run_id == old.stamp.run_id
        assert await backends(connection, f"kasparro:{old.stamp.run_id}:%") == []
    assert isinstance(writing.exception(), Exception)
    assert await connection.fetchval("select state from etl_runs where id = $1", old.stamp.run_id) == "interrupted"


@pytest.mark.usefixtures("impatient")
async def test_writer_whose_transaction_is_young_is_left_alone(
    database: ConnectionOptions, connection: Connection
) -> None:
    old = await claim(database, stuck_after_seconds=60)
    async with stopped_writer(database, old) as writing:
        with pytest.raises(RunConflictError, match=f"a batch of run {old.stamp.run_id} is still being written"):
            await claim(database, stuck_after_seconds=60)
        assert len(await backends(connection, f"kasparro:{old.stamp.run_id}:%")) == 1
    assert writing.exception() is None


@pytest.mark.usefixtures("impatient")
async def test_writers_of_other_runs_are_left_alone(database: ConnectionOptions) -> None:
    """A run is stuck, and so is a connection whose run's number only begins alike."""
    old = await claim(database, stuck_after_seconds=60)
    similar = await connect(database, application_name=f"kasparro:{old.stamp.run_id}1:0")
    transaction = similar.transaction()
    await transaction.start()
    await similar.execute("select 1")
    async with stopped_writer(database, old):
        await claim(database, stuck_after_seconds=0)
    assert await similar.fetchval("select 1") == 1, "its session goes on"
    await transaction.commit()
    await similar.close()


async def backends(connection: Connection, name: str) -> list[int]:
    rows = await connection.fetch(
        "select pid from pg_stat_activity where datname = current_database() and application_name like $1", name
    )
    return [row["pid"] for row in rows]


async def settings_of(connection: Connection) -> dict[str, str]:
    names = (
        "idle_session_timeout", "idle_in_transaction_session_timeout", "client_connection_check_interval",
        "synchronous_commit", "timezone", "jit",
    )  # fmt: skip
    return {name: await connection.fetchval(f"show {name}") for name in names}


async def test_sessions_end_by_themselves_and_only_lanes_commit_asynchronously(database: ConnectionOptions) -> None:
    common = {
        "idle_session_timeout": "1min",
        "idle_in_transaction_session_timeout": "1min",
        "client_connection_check_interval": "10s",
        "timezone": "UTC",
        "jit": "off",
    }
    job = job_of(ScriptedSource({"p": ROWS}))
    async with hold(database, job) as coordinator, coordinator.live.use() as connection:
        assert await settings_of(connection) == {**common, "synchronous_commit": "on"}
        assert await connection.fetchval("show lock_timeout") == "5s"
    live = await LiveConnection.open(database, application_name="kasparro:1:0", settings=LANE_SETTINGS)
    async with live.use() as connection:
        assert await settings_of(connection) == {**common, "synchronous_commit": "off"}
    await live.close()


async def test_settings_of_a_url_do_not_weaken_those_of_a_run(database: ConnectionOptions) -> None:
    from dataclasses import replace

    weak = replace(database, server_settings={"synchronous_commit": "off", "idle_session_timeout": "0"})
    async with hold(weak, job_of(ScriptedSource({"p": ROWS}))) as coordinator, coordinator.live.use() as connection:
        assert await connection.fetchval("show synchronous_commit") == "on"
        assert await connection.fetchval("show idle_session_timeout") == "1min"


class Interrupting(ScriptedSource):
    """Ends the server sessions whose application name ends in `which` before it reads from a position, once."""

    def __init__(self, connection: Connection, which: str, at: int) -> None:
        super().__init__({"p": ROWS}, name="interrupted")
        self._connection = connection
        self._which = which
        self._at = at
        self.ended = asyncio.Event()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        position = int(start.cursor["position"]) if start.cursor else 0
        async for item in super().read(partition, start):
            if position == self._at:
                self._at = -1
                self._ending = asyncio.create_task(self._end())  # a task: the run cancels its reader meanwhile
                await asyncio.shield(self._ending)
            yield item
            position += len(item.records) if isinstance(item, Batch) else 0

    async def _end(self) -> None:
        await self._connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where datname = current_database() and application_name like $1",
            f"kasparro:%:{self._which}",
        )
        self.ended.set()


@pytest.mark.parametrize("which", ["coordinator", "0", "2"])
@pytest.mark.parametrize("at", [0, 9, 22])
async def test_run_whose_session_ends_starts_again_and_doubles_nothing(
    database: ConnectionOptions, connection: Connection, which: str, at: int
) -> None:
    options = Conditions(database)
    await run_source(job_of(ScriptedSource({"p": ROWS}, name="whole")), Request(lanes=3), options)
    source = Interrupting(connection, which, at)
    outcome = await run_source(job_of(source), Request(lanes=3), options)

    await source.ended.wait()
    assert outcome.error is None
    assert await facts_of(connection, "interrupted") == await facts_of(connection, "whole")
    states = await connection.fetch(
        "select state from etl_runs r join sources s on s.id = r.source_id where name = 'interrupted' order by r.id"
    )
    assert [item["state"] for item in states] == ["interrupted", outcome.state]
    assert [each["state"] for each in outcome.rows] == ["interrupted", outcome.state]
    assert sum(each["fetched"] for each in outcome.rows) == len(ROWS)


class Waiting(ScriptedSource):
    """Waits for ever before its last batch, the first time it is read."""

    def __init__(self) -> None:
        super().__init__({"p": ROWS})
        self.reached = asyncio.Event()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        first = not self.starts
        async for item in super().read(partition, start):
            if first and isinstance(item, FinalBatch):
                self.reached.set()
                await asyncio.Event().wait()
            yield item


@pytest.mark.parametrize("which", ["coordinator", "0"])
async def test_dead_session_is_noticed_although_nothing_is_written(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(connections, "PING_SECONDS", 0.05)
    source = Waiting()
    running: asyncio.Task[RunOutcome] = asyncio.create_task(run_source(job_of(source), Request(), Conditions(database)))
    await source.reached.wait()
    [pid] = await backends(connection, f"kasparro:%:{which}")
    await connection.execute("select pg_terminate_backend($1)", pid)
    async with asyncio.timeout(20):
        outcome = await running
    assert outcome.error is None
    assert len(source.starts) == 2
    assert await connection.fetchval("select sum(fetched)::int from etl_runs") == len(ROWS)


async def test_ping_leaves_a_connection_in_use_alone(
    database: ConnectionOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PING_SECONDS", 0.0)
    live = await LiveConnection.open(database, application_name="kasparro:1:0", settings=LANE_SETTINGS)
    ping = asyncio.create_task(live.keep_alive())
    async with live.use() as connection:
        for _ in range(20):
            assert await connection.fetchval("select 1 from pg_sleep(0.001)") == 1
    assert not ping.done()
    ping.cancel()
    await live.close()
    with pytest.raises(ConnectionLostError):
        async with live.use() as connection:
            await connection.fetchval("select 1")


async def test_lock_is_free_as_soon_as_its_holder_is_gone(database: ConnectionOptions, connection: Connection) -> None:
    job = job_of(ScriptedSource({"p": ROWS}))
    async with hold(database, job):
        source_id = await connection.fetchval("select id from sources")
        assert not await locks.try_lock(connection, source_id)
    assert await locks.try_lock(connection, source_id)
    await locks.unlock(connection, source_id)
