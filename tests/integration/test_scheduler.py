"""The scheduler over a real database; its clock is turned by the tests."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError, UpstreamError
from kasparro.ingestion.run import Conditions
from kasparro.services import run_queue, runs, sources
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
    assert {item["state"] for item in rows} <= {"succeeded", "interrupted"}


async def test_stop_ends_at_a_batch_edge(database: ConnectionOptions, connection: Connection) -> None:
    source = ScriptedSource({"p": [row(f"k{n}") for n in range(9)]}, name="long")
    stop = asyncio.Event()
    source.before = lambda _partition, position: stop.set() if position == 3 else None
    scheduled = [Scheduled(job_of(source), EveryMinutes(1))]
    async with asyncio.timeout(60):
        await Scheduler(scheduled, Conditions(database, stop=stop)).run()
    assert await states(connection, "long") == [("interrupted", "schedule")]
    assert await connection.fetchval("select count(*) from unified_data") == 6


async def test_history_counts_failures_since_the_last_success(connection: Connection) -> None:
    assert await runs.history(connection, "unknown") == (None, 0)
    found = await sources.register(connection, name="s", source_type="csv", identity={})
    for state in ("failed", "succeeded", "failed", "interrupted", "systemic"):
        await ended(connection, found.id, state)
    started, failures = await runs.history(connection, "s")
    assert started is not None
    assert failures == 2


@pytest.mark.parametrize("state", ["running", "interrupted"])
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
