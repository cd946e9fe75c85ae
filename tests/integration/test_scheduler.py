"""The scheduler over a real database; its clock is turned by the tests."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import RunConflictError, SourceError, UpstreamError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.services import locks, run_pages, run_queue, runs, sources, workers
from kasparro.services.runs import Newest
from kasparro.workers.scheduler import Scheduled, Scheduler
from tests.scripted import ScriptedSource, job_of, row

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class EveryMinutes:
    def __init__(self, minutes: int) -> None:
        self._minutes = minutes

    def next_after(self, moment: datetime) -> datetime:
        return moment + self._minutes * MINUTE

    def spread(self, distance: timedelta) -> timedelta:
        return distance / 10


class Hurried:
    """A clock that stands still while anybody works, and jumps to the next moment when all of them wait."""

    def __init__(self, parties: int, time: datetime) -> None:
        self.time = time
        self._parties = parties
        self._waiting: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self.time

    async def wait(self, seconds: float, event: asyncio.Event) -> None:
        entry = (self.time + timedelta(seconds=seconds), asyncio.Event())
        self._waiting.append(entry)
        self._jump_if_all_wait()
        either = [asyncio.create_task(event.wait()), asyncio.create_task(entry[1].wait())]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for task in either:
            task.cancel()
        if entry in self._waiting:
            self._waiting.remove(entry)

    def _jump_if_all_wait(self) -> None:
        if len(self._waiting) < self._parties:
            return
        self.time = min(moment for moment, _ in self._waiting)
        for entry in [entry for entry in self._waiting if entry[0] <= self.time]:
            self._waiting.remove(entry)
            entry[1].set()


def scripted(name: str, **options: Any) -> ScriptedSource:
    return ScriptedSource({"p": [row("a"), row("b")]}, name=name, **options)


async def run_until(
    options: ConnectionOptions,
    scheduled: list[Scheduled],
    enough: Callable[[dict[str, int]], bool],
    *,
    at: datetime = NOON,
) -> Hurried:
    """Run a scheduler until the numbers of finished passes by source are enough."""
    stop, clock = asyncio.Event(), Hurried(len(scheduled) + 1, at)
    finished: dict[str, int] = {item.job.source.name: 0 for item in scheduled}

    for item in scheduled:
        source = item.job.source
        assert isinstance(source, ScriptedSource)
        original = source.before

        def before(partition: str, position: int, name: str = source.name, inner: Any = original) -> None:
            if position == 0:
                finished[name] += 1
            if enough(finished):
                stop.set()
            inner(partition, position)

        source.before = before
    async with asyncio.timeout(60):
        await Scheduler(scheduled, Conditions(options, stop=stop), clock=clock).run()
    return clock


async def states(connection: Connection, source: str) -> list[tuple[str, str]]:
    rows = await connection.fetch(
        "select r.state, r.trigger from etl_runs r join sources s on s.id = r.source_id "
        "where s.name = $1 order by r.id",
        source,
    )
    return [(item["state"], item["trigger"]) for item in rows]


async def test_sources_run_at_their_own_intervals(database: ConnectionOptions, connection: Connection) -> None:
    scheduled = [
        Scheduled(job_of(scripted("often")), EveryMinutes(1)),
        Scheduled(job_of(scripted("seldom")), EveryMinutes(1000)),
    ]
    await run_until(database, scheduled, lambda finished: finished["often"] >= 4)
    assert len(await states(connection, "often")) >= 3
    assert await states(connection, "seldom") == [("succeeded", "schedule")]


async def test_failing_source_backs_off_while_the_others_go_on(
    database: ConnectionOptions, connection: Connection
) -> None:
    def fail(_partition: str, _position: int) -> None:
        raise SourceError("down")

    scheduled = [
        Scheduled(job_of(scripted("good")), EveryMinutes(2)),
        Scheduled(job_of(scripted("bad", before=fail)), EveryMinutes(2)),
    ]
    await run_until(database, scheduled, lambda finished: finished["good"] >= 12)
    good, bad = await states(connection, "good"), await states(connection, "bad")
    assert {state for state, _ in bad} == {"failed"}
    assert len(good) == 12
    assert len(bad) == 4, "2, 4, 8, 16 minutes apart, and a little jitter"


async def test_server_that_says_when_to_come_back_is_not_asked_earlier_after_a_restart_either(
    database: ConnectionOptions, connection: Connection
) -> None:
    def busy(_partition: str, _position: int) -> None:
        raise UpstreamError("busy", url="https://example.org/", status=429, retry_after_seconds=600)

    scheduled = [
        Scheduled(job_of(scripted("good")), EveryMinutes(2)),
        Scheduled(job_of(scripted("asked", before=busy)), EveryMinutes(2)),
    ]
    first = await run_until(database, scheduled, lambda finished: finished["good"] >= 3, at=datetime.now(UTC))
    assert await states(connection, "asked") == [("failed", "schedule")]
    held = await connection.fetchval("select not_before from etl_runs where not_before is not null")
    assert first.time < held

    second = await run_until(database, scheduled, lambda finished: finished["asked"] >= 1, at=first.time)
    assert await states(connection, "asked") == [("failed", "schedule")] * 2
    assert held <= second.time < held + MINUTE
    assert await runs.held_until(connection, "good") is None


async def test_bug_in_one_source_leaves_the_others_running(database: ConnectionOptions, connection: Connection) -> None:
    def crash(_partition: str, _position: int) -> None:
        raise ZeroDivisionError("a bug")

    scheduled = [
        Scheduled(job_of(scripted("good")), EveryMinutes(2)),
        Scheduled(job_of(scripted("bad", before=crash)), EveryMinutes(2)),
    ]
    await run_until(database, scheduled, lambda finished: finished["good"] >= 4)
    assert len(await states(connection, "good")) == 4
    assert {state for state, _ in await states(connection, "bad")} == {"failed"}


async def test_queued_run_is_claimed_as_itself(database: ConnectionOptions, connection: Connection) -> None:
    job = job_of(scripted("asked"))
    found = await sources.register(connection, name="asked", source_type="csv", identity=job.identity)
    run_id = await run_queue.add(connection, found.id, "api")
    await run_until(database, [Scheduled(job, EveryMinutes(1000))], lambda finished: finished["asked"] >= 2)
    rows = await connection.fetch("select id, state, trigger from etl_runs order by id")
    assert (run_id, "api") in [(item["id"], item["trigger"]) for item in rows]
    assert {item["state"] for item in rows} <= {"succeeded", "cancelled"}


async def test_stop_ends_at_a_batch_edge(database: ConnectionOptions, connection: Connection) -> None:
    source = ScriptedSource({"p": [row(f"k{n}") for n in range(9)]}, name="long")
    stop = asyncio.Event()
    source.before = lambda _partition, position: stop.set() if position == 3 else None
    scheduled = [Scheduled(job_of(source), EveryMinutes(1))]
    async with asyncio.timeout(60):
        await Scheduler(scheduled, Conditions(database, stop=stop)).run()
    assert await states(connection, "long") == [("cancelled", "schedule")]
    assert await connection.fetchval("select count(*) from unified_data") == 6


async def test_history_counts_failures_since_the_last_success(connection: Connection) -> None:
    assert await runs.history(connection, "unknown") == (None, 0)
    found = await sources.register(connection, name="s", source_type="csv", identity={})
    for state in ("failed", "succeeded", "failed", "interrupted", "systemic"):
        await ended(connection, found.id, state)
    started, failures = await runs.history(connection, "s")
    assert started is not None
    assert failures == 2


@pytest.mark.parametrize("state", ["running", "interrupted", "cancelled"])
async def test_source_whose_newest_run_was_broken_off_is_due_at_once(connection: Connection, state: str) -> None:
    found = await sources.register(connection, name="s", source_type="csv", identity={})
    for each in ("failed", state):
        await ended(connection, found.id, each)
    assert await runs.history(connection, "s") == (None, 1)


async def ended(connection: Connection, source_id: int, state: str) -> None:
    await connection.execute(
        "insert into etl_runs (source_id, trigger, state, started_at, finished_at) "
        "values ($1, 'cli', $2, now(), now())",
        source_id,
        state,
    )


@asynccontextmanager
async def scheduler_at_work(options: ConnectionOptions, *names: str) -> AsyncGenerator[None]:
    """The real clock; no source is due again within the test, and each has been read once."""
    stop, read = asyncio.Event(), asyncio.Event()
    left = set(names)
    scheduled = [Scheduled(job_of(scripted(name)), EveryMinutes(100_000)) for name in names]

    def committed(name: str, _: object) -> None:
        left.discard(name)
        if not left:
            read.set()

    work = asyncio.create_task(Scheduler(scheduled, Conditions(options, stop=stop, committed=committed)).run())
    async with asyncio.timeout(60):
        await read.wait()
        yield
        stop.set()
        await work


async def until(connection: Connection, question: str, *arguments: Any) -> None:
    """The database answers yes. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while not await connection.fetchval(question, *arguments):
            pass


async def test_a_queued_run_is_begun_when_it_is_queued(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It announces itself: no look into the queue is due within this test."""
    monkeypatch.setattr("kasparro.workers.scheduler.POLL_SECONDS", 1000.0)
    async with scheduler_at_work(database, "s"):
        await until(connection, "select count(*) = 1 from workers")
        for run_id in (2, 3):
            assert await run_queue.add(connection, 1, "api") == run_id
            await until(connection, "select finished_at is not null from etl_runs where id = $1", run_id)
    assert await states(connection, "s") == [
        ("succeeded", "schedule"), ("succeeded", "api"), ("succeeded", "api"),
    ]  # fmt: skip


async def test_a_worker_shows_while_it_works_and_takes_its_name_back(
    database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute("insert into workers (name, polled_at) values ('killed', now() - interval '2 hours')")
    async with scheduler_at_work(database, "s"):
        await until(connection, "select count(*) = 1 from workers")
        assert await workers.alive(connection) == [f"{socket.gethostname()}:{os.getpid()}"]
    assert await connection.fetchval("select count(*) from workers") == 0


async def test_a_lost_connection_is_opened_anew(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that are queued while it is away are found, and later ones announce themselves again."""
    monkeypatch.setattr("kasparro.workers.scheduler.POLL_SECONDS", 0.1)
    async with scheduler_at_work(database, "s"):
        for run_id in (2, 3):
            await until(connection, "select count(*) = 1 from workers")
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'kasparro:scheduler' and datname = current_database()"
            )
            assert await run_queue.add(connection, 1, "api") == run_id
            await until(connection, "select finished_at is not null from etl_runs where id = $1", run_id)


async def test_sources_are_known_before_their_first_run(database: ConnectionOptions, connection: Connection) -> None:
    await connection.execute("begin; lock table etl_checkpoints in access exclusive mode")
    stop = asyncio.Event()
    scheduled = [Scheduled(job_of(scripted(name)), EveryMinutes(9)) for name in ("a", "b")]
    work = asyncio.create_task(Scheduler(scheduled, Conditions(database, stop=stop)).run())
    await until(connection, "select count(*) = 2 from sources")
    stop.set()
    await connection.execute("rollback")
    await work


async def test_intervals_of_sources_are_kept_and_those_that_nobody_reads_have_none(
    database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute(
        "insert into sources (name, type, identity, config_hash, interval_seconds) values ('gone', 'csv', '{}', '', 60)"
    )
    async with scheduler_at_work(database, "known"):
        rows = await connection.fetch("select name, interval_seconds from sources order by name")
    assert [tuple(each) for each in rows] == [("gone", None), ("known", 6_000_000)]


async def test_a_run_of_a_source_that_nobody_has_is_refused_by_the_last_worker(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another worker is there, it may be the one that has it."""
    monkeypatch.setattr("kasparro.workers.scheduler.POLL_SECONDS", 0.1)
    gone = await sources.register(connection, name="gone", source_type="csv", identity={})
    await workers.join(connection, "another")
    run_id = await run_queue.add(connection, gone.id, "api")
    async with scheduler_at_work(database, "s"):
        looks = "select count(*) = 1 from workers where name <> 'another' and polled_at > $1"
        for _ in range(2):
            await until(connection, looks, await connection.fetchval("select clock_timestamp()"))
        assert await connection.fetchval("select state from etl_runs where id = $1", run_id) == "queued"
        await workers.leave(connection, "another")
        await until(connection, "select finished_at is not null from etl_runs where id = $1", run_id)
    row = await run_pages.find(connection, run_id)
    assert (row["state"], row["error_code"]) == ("failed", "configuration")
    counted = "select value from metric_counters where source_id = $1 and name = 'runs_total' and label = 'failed'"
    assert await connection.fetchval(counted, gone.id) == 1


async def test_a_run_that_somebody_else_has_claimed_is_not_run_again(
    database: ConnectionOptions, connection: Connection
) -> None:
    job = job_of(scripted("s"))
    found = await sources.register(connection, name="s", source_type="csv", identity=job.identity)
    run_id = await run_queue.add(connection, found.id, "api")
    first = await run_source(job, Request("api", queued_run_id=run_id), Conditions(database))
    assert (first.state, first.row is not None and first.row["id"]) == ("succeeded", run_id)
    second = await run_source(job, Request("api", queued_run_id=run_id), Conditions(database))
    assert isinstance(second.error, RunConflictError)
    assert await states(connection, "s") == [("succeeded", "api")]


class Begun(ScriptedSource):
    """A source that lets a run wait, and knows when one has begun to read."""

    def __init__(self, name: str) -> None:
        super().__init__({"p": [row("a"), row("b")]}, name=name)
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        self.reading.set()
        await self.go_on.wait()
        async for item in super().read(partition, start):
            yield item


async def test_two_schedulers_and_one_due_moment_are_one_run(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Both decide before either has begun; the second comes to hold the lock as well, and finds the first's run."""
    begun, stop = Begun("s"), asyncio.Event()
    scheduled = [Scheduled(job_of(begun), EveryMinutes(100_000))]
    with capture_logs() as logs:
        work = [asyncio.create_task(Scheduler(scheduled, Conditions(database, stop=stop)).run()) for _ in range(2)]
        await begun.reading.wait()
        await until(connection, "select count(*) = 2 from pg_stat_activity where application_name = $1 "
                    "and datname = current_database()", "kasparro:new:coordinator")  # fmt: skip
        begun.go_on.set()
        async with asyncio.timeout(30):
            while not any(line["event"] == "scheduler.source_held" for line in logs):
                await connection.fetchval("select 1")
        stop.set()
        await asyncio.gather(*work)
    assert len(begun.starts) == 1
    assert await states(connection, "s") == [("succeeded", "schedule")]


async def test_scheduled_run_leaves_the_source_to_a_run_that_was_faster(
    database: ConnectionOptions, connection: Connection
) -> None:
    job = job_of(scripted("s"))
    known = await runs.newest(connection, "s")
    by_hand = await run_source(job, Request("cli"), Conditions(database))
    late = await run_source(job, Request("schedule", unless_newer_than=known), Conditions(database))
    assert isinstance(late.error, RunConflictError)
    assert "another run was faster" in late.error.message
    assert await states(connection, "s") == [("succeeded", "cli")]
    assert by_hand.row is not None
    assert await runs.newest(connection, "s") == Newest(1, by_hand.row["started_at"], ended=True)


async def test_dead_run_of_another_scheduler_is_taken_over_soon(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source is not due for days; what holds its lock is another session, until the second try."""
    monkeypatch.setattr("kasparro.ingestion.locking.LOCK_WAIT_SECONDS", 0.0)
    monkeypatch.setattr("kasparro.workers.scheduler.HELD_SECONDS", 0.05)
    begun, stop = Begun("s"), asyncio.Event()
    begun.go_on.set()
    scheduled = [Scheduled(job_of(begun), EveryMinutes(100_000))]
    found = await sources.register(connection, name="s", source_type="csv", identity=scheduled[0].job.identity)
    await connection.execute(
        "insert into etl_runs (source_id, trigger, state, started_at) values ($1, 'schedule', 'running', now())",
        found.id,
    )
    assert await locks.try_lock(connection, found.id)
    with capture_logs() as logs:
        work = asyncio.create_task(Scheduler(scheduled, Conditions(database, stop=stop)).run())
        async with asyncio.timeout(30):
            while not any(line["event"] == "scheduler.next" for line in logs):
                await connection.fetchval("select 1")
            said = {line["event"]: (line["log_level"], line.get("state")) for line in logs}
            assert (said["run.not_recorded"], said["scheduler.next"]) == (("info", "skipped"), ("info", "skipped"))
            assert "failed" not in str([line for line in logs if line["event"] == "scheduler.next"])
            await locks.unlock(connection, found.id)
            await until(connection, "select count(*) = 1 from etl_runs where state = 'succeeded'")
        stop.set()
        await work
    assert await states(connection, "s") == [("interrupted", "schedule"), ("succeeded", "schedule")]


class Turned:
    """A clock that moves on when it is waited for, though not during a run, and is put back once, as soon as a next
    run is planned.
    """

    def __init__(self, logs: Sequence[Any], back: timedelta) -> None:
        self.time = NOON
        self._logs = logs
        self._back: timedelta | None = back

    def now(self) -> datetime:
        return self.time

    async def wait(self, seconds: float, event: asyncio.Event) -> None:
        await asyncio.sleep(0)
        events = [line["event"] for line in self._logs]
        if events.count("scheduler.started") + events.count("scheduler.next") <= events.count("run.started"):
            return
        if self._back is not None and "scheduler.next" in events:
            self.time -= self._back
            self._back = None
        elif not event.is_set():
            self.time += timedelta(seconds=seconds)


async def test_clock_that_is_put_back_keeps_no_source_waiting(database: ConnectionOptions) -> None:
    """By a year, while the source waits for its next run: that comes within its interval all the same."""
    stop, begun = asyncio.Event(), list[datetime]()
    source = scripted("s")
    with capture_logs() as logs:
        clock = Turned(logs, timedelta(days=365))

        def before(_partition: str, position: int) -> None:
            if position == 0:
                begun.append(clock.time)
            if len(begun) == 2:
                stop.set()

        source.before = before
        scheduled = [Scheduled(job_of(source), EveryMinutes(5))]
        async with asyncio.timeout(60):
            await Scheduler(scheduled, Conditions(database, stop=stop), clock=clock).run()
    assert len(begun) == 2
    assert "scheduler.clock_went_back" in [line["event"] for line in logs]
    assert begun[1].year == 2025
