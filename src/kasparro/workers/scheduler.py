"""Runs every source at its time, and queued runs as they come; never two of one source.

A source that fails backs off by itself while the others go on. The times of past runs come from the database, so a
restarted scheduler goes on with the timetable instead of running everything at once.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from kasparro.core.canonical import storable_text
from kasparro.core.database import Connection, ConnectionOptions, connect, house_errors
from kasparro.core.errors import DatabaseError, QualityError, RunConflictError
from kasparro.core.masking import mask_text
from kasparro.ingestion.alerting import abandon_alerts
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.outcomes import RunOutcome
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import freshness, migrations, run_queue, runs, sources, workers
from kasparro.services.run_queue import QueuedRun
from kasparro.services.runs import Newest
from kasparro.workers.alerting import Alerting, Hook, Watched
from kasparro.workers.housekeeping import keep_house
from kasparro.workers.operations import queued_operation
from kasparro.workers.queue import Queue
from kasparro.workers.reachable import Reachable
from kasparro.workers.timetable import LONGEST_PAUSE, Schedule, Timetable, longest_distance

HELD_SECONDS: Final = 20.0
"""How soon a source is tried again that another process runs, so that a dead one is taken over within two minutes."""
POLL_SECONDS: Final = 2.0
"""A net: a queued run announces itself."""
PARALLEL_SOURCES: Final = 4
_LONGEST_NAP_SECONDS: Final = 30.0
_FAILED: Final = frozenset({"failed", "systemic"})
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A source and when it runs."""

    job: SourceJob
    schedule: Schedule


class Clock(Protocol):
    """Wall time, and waiting for it or for an event."""

    def now(self) -> datetime: ...

    async def wait(self, seconds: float, event: asyncio.Event) -> None:
        """Return after so many seconds, or as soon as the event is set."""
        ...


class SystemClock:
    """The real one."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, seconds: float, event: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return


@dataclass(slots=True)
class _Source:
    """What the scheduler knows of one source while it runs."""

    job: SourceJob
    timetable: Timetable
    due: datetime
    failures: int
    newest: Newest
    planned_at: datetime
    not_before: datetime | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    queued: list[QueuedRun] = field(default_factory=list[QueuedRun])
    at_work: QueuedRun | None = None

    def plan(self, started: datetime | None, now: datetime, not_before: datetime | None = None) -> None:
        """Set the next time after a run that began at `started`; None: another's is at work, which may be dead."""
        self.planned_at, self.not_before = now, not_before
        if started is None:
            self.due = now + timedelta(seconds=HELD_SECONDS)
        else:
            self.due = self.timetable.following(min(started, now), self.failures, not_before)

    def learn(self, run: dict[str, Any] | None) -> None:
        """Remember a run of our own as begun."""
        if run is not None:
            known = self.newest
            ended = run["state"] not in runs.BROKEN_OFF if run["id"] >= (known.id or 0) else known.ended
            started_at = max(known.started_at or run["started_at"], run["started_at"])
            self.newest = Newest(max(known.id or 0, run["id"]), started_at, ended)


class Scheduler:
    """Made for one set of sources; `run` returns once `conditions.stop` is set and every batch in hand is committed."""

    def __init__(
        self, scheduled: Sequence[Scheduled], conditions: Conditions, *, lanes: int = 1, clock: Clock | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:  # fmt: skip
        self._scheduled = scheduled
        self._lanes = lanes
        self._hooks = hooks
        self._conditions = conditions
        self._clock = clock or SystemClock()
        self._slots = asyncio.Semaphore(PARALLEL_SOURCES)
        self._queue_changed = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped. Raises DatabaseError when the database cannot be asked at the start."""
        sources = await self._sources()
        log.info("scheduler.started", message=f"{len(sources)} sources to read", sources=len(sources))
        async with asyncio.TaskGroup() as tasks:
            for source in sources:
                tasks.create_task(self._serve(source))
            tasks.create_task(self._watch_queue(sources))
            tasks.create_task(self._alerting().run(self._conditions.stop))
            if ages := {item.job.source.name: item.job.retention for item in self._scheduled if item.job.retention}:
                conditions = self._conditions
                tasks.create_task(keep_house(conditions.options, ages, self._clock, self._slots, conditions.stop))
            await self._conditions.stop.wait()
            for source in sources:
                source.wake.set()
            self._queue_changed.set()
        log.info("scheduler.stopped", message="every batch in hand is committed")

    def _alerting(self) -> Alerting:
        watched = [Watched(each.job.source.name, each.job.alerts) for each in self._scheduled]
        return Alerting(self._conditions.options, watched, self._hooks, now=self._clock.now)

    async def _sources(self) -> list[_Source]:
        now = self._clock.now()
        connection = await _asking(self._conditions.options)
        try:
            with house_errors():
                await migrations.require_current(connection)
                sources = [await self._source(connection, item, now) for item in self._scheduled]
                await self._tell_intervals(connection, now)
                return sources
        finally:
            await connection.close()

    async def _source(self, connection: Connection, item: Scheduled, now: datetime) -> _Source:
        """Known to the database from now on, so that a run of it can be asked for before its first one."""
        timetable, read = Timetable(item.schedule, random.random), item.job.source
        await sources.register(connection, name=read.name, source_type=read.type, identity=item.job.identity)
        started, failures = await runs.history(connection, read.name)
        held = await runs.held_until(connection, item.job.source.name)
        newest = await runs.newest(connection, read.name)
        return _Source(item.job, timetable, timetable.first(started, now, failures, held), failures, newest, now, held)

    async def _tell_intervals(self, connection: Connection, now: datetime) -> None:
        """By these others judge whether a source is stale. What nobody reads any more has none, and no alert: where
        this is the only scheduler, that is known."""
        seconds = {
            item.job.source.name: longest_distance(item.schedule, now).total_seconds() for item in self._scheduled
        }
        await freshness.save_intervals(connection, seconds)
        if not await workers.alive(connection):
            async with connection.transaction():
                forgotten = await freshness.forget_intervals(connection, list(seconds))
                await abandon_alerts(connection, forgotten, now)

    async def _serve(self, source: _Source) -> None:
        """One source, one run at a time, for as long as the scheduler runs."""
        stop = self._conditions.stop
        while not stop.is_set():
            self._heed_clock(source)
            if not source.queued and (left := (source.due - self._clock.now()).total_seconds()) > 0:
                source.wake.clear()
                if not (source.queued or stop.is_set()):
                    await self._clock.wait(min(left, _LONGEST_NAP_SECONDS), source.wake)
                continue
            async with self._slots:
                if not stop.is_set():
                    await self._run(source)

    async def _run(self, source: _Source) -> None:
        source.at_work = queued = source.queued.pop(0) if source.queued else None
        started = self._clock.now()
        if queued is not None and queued.operation is not None:
            await self._operate(source, queued)
            source.at_work = None
            return
        request = Request("schedule", self._lanes, unless_newer_than=source.newest)
        if queued is not None:
            request = Request(queued.trigger, self._lanes, queued_run_id=queued.id, origin=queued.origin)
        outcome = await run_source(source.job, request, replace(self._conditions))
        if isinstance(outcome.error, RunConflictError):
            log.info("scheduler.source_held", source=outcome.source, message=outcome.error.message)
            started = await self._begun_elsewhere(source, started)
        elif outcome.state in _FAILED and not isinstance(outcome.error, QualityError):  # read to its end, it is there
            source.failures += 1
            if queued is not None:
                await self._refuse(queued.id, outcome)
        else:
            source.failures = 0
        source.at_work = None
        source.learn(outcome.row)
        source.plan(started, self._clock.now(), outcome.not_before)
        message = f"{outcome.shown_state}; next at {source.due:%Y-%m-%dT%H:%M:%SZ}"
        log.info("scheduler.next", message=message, source=outcome.source, state=outcome.shown_state,
                 failures=source.failures, due=source.due)  # fmt: skip

    async def _operate(self, source: _Source, queued: QueuedRun) -> None:
        """A queued run that does other than read: it leaves the timetable and its failures alone."""
        job, request = queued_operation(source.job, queued, self._conditions.options)
        outcome = await run_source(job, request, replace(self._conditions))
        if isinstance(outcome.error, RunConflictError):  # still queued, and tried again
            log.info("scheduler.source_held", source=outcome.source, message=outcome.error.message)
        elif outcome.state in _FAILED:
            await self._refuse(queued.id, outcome)
        message = f"{queued.operation}: {outcome.shown_state}"
        log.info("scheduler.operated", message=message, source=outcome.source, operation=queued.operation,
                 state=outcome.shown_state)  # fmt: skip

    def _heed_clock(self, source: _Source) -> None:
        """A clock that was put back would keep a source waiting for as long: its next time is planned anew."""
        now = self._clock.now()
        if now < source.planned_at:
            message = f"the clock went back by {(source.planned_at - now).total_seconds():.0f} s or more"
            log.warning("scheduler.clock_went_back", source=source.job.source.name, message=message)
            held = source.not_before and min(source.not_before, now + LONGEST_PAUSE)
            source.plan(now, now, held)

    async def _begun_elsewhere(self, source: _Source, started: datetime) -> datetime | None:
        """When the run began that was faster than ours; None while it is at work, or if it was broken off."""
        try:
            connection = await _asking(self._conditions.options)
            try:
                with house_errors():
                    source.newest = await runs.newest(connection, source.job.source.name)
            finally:
                await connection.close()
        except DatabaseError as error:
            log.warning("scheduler.queue_unreachable", message=error.message)
            return started
        return source.newest.started_at if source.newest.ended else None

    async def _refuse(self, run_id: int, outcome: RunOutcome) -> None:
        """Close a queued run that never came to be, so that nobody waits for it."""
        if outcome.row is None and outcome.error is not None and not isinstance(outcome.error, DatabaseError):
            try:
                message = mask_text(outcome.error.about(outcome.source))
                await self._close_queued(run_id, (outcome.error.code, storable_text(message)))
            except DatabaseError as error:  # it is still queued, and tried again
                log.warning("scheduler.queue_unreachable", message=error.message)

    async def _close_queued(self, run_id: int, error: tuple[str, str]) -> None:
        connection = await _asking(self._conditions.options)
        try:
            with house_errors():
                await run_queue.refuse(connection, run_id, error)
        finally:
            await connection.close()

    async def _watch_queue(self, sources: Sequence[_Source]) -> None:
        """Hand queued runs to their sources. A database that is away is asked again; runs wait in it."""
        by_name = {source.job.source.name: source for source in sources}
        queue = Queue(self._conditions.options, self._queue_changed)
        database = Reachable("scheduler.queue_unreachable", "scheduler.queue_reachable")
        try:
            while not self._conditions.stop.is_set():
                self._queue_changed.clear()
                try:
                    _hand_over(await queue.ask(list(by_name)), by_name)
                    database.answered()
                except DatabaseError as error:
                    database.failed(error)
                await self._clock.wait(POLL_SECONDS, self._queue_changed)
        finally:
            await queue.close()


def _hand_over(queued: Sequence[QueuedRun], by_name: dict[str, _Source]) -> None:
    for run in queued:
        source = by_name[run.source]
        if run != source.at_work and run not in source.queued:
            source.queued.append(run)
            source.wake.set()


async def _asking(options: ConnectionOptions) -> Connection:
    return await connect(options, application_name="kasparro:scheduler")
