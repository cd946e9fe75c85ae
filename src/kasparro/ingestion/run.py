"""Running a source: claim, read every open partition, finish; and after a lost connection, again from the database."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from kasparro.core.database import ConnectionOptions
from kasparro.core.errors import (
    DeadlineError,
    FencedError,
    KasparroError,
    PassExpiredError,
    SourceError,
    StoppedError,
)
from kasparro.ingestion.attending import attended_by
from kasparro.ingestion.connections import LANE_SETTINGS, LiveConnection
from kasparro.ingestion.contention import repeated
from kasparro.ingestion.coordinator import Coordinator, Request, RunPlan, hold
from kasparro.ingestion.ending import STOP_GRACE_SECONDS, Ending, Turn, state_after, watching
from kasparro.ingestion.faults import Faults, faulty_job, faulty_store
from kasparro.ingestion.job import SourceJob, for_first_load
from kasparro.ingestion.observed import name_run, observed, observed_job, observed_store
from kasparro.ingestion.outcomes import RunOutcome
from kasparro.ingestion.passes import PartitionPlan
from kasparro.ingestion.pipeline import Lane, Pipeline
from kasparro.ingestion.quality import quality_error, report_quality
from kasparro.ingestion.recovery import MAY_PASS, RECONNECT_SECONDS, Recovery
from kasparro.ingestion.reports import log_end, log_start, report_anomalies, report_repeats, unexpected
from kasparro.ingestion.source import BatchLimits, ReadsDocuments, Source, Start
from kasparro.ingestion.statistics import refresh_statistics
from kasparro.ingestion.writers import lane_store
from kasparro.schemas.batches import RunStamp
from kasparro.schemas.counters import Counters
from kasparro.services import locks, run_facts, run_pages

log = structlog.get_logger()


def _ignore(_source: str, _news: object) -> None:
    """For callers that show no progress."""


async def _nothing_to_revive() -> None:
    """For servers that somebody else starts."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run is given from outside. Setting `stop` ends it at a batch's edge, or at once after the grace.

    Setting `at_once` as well makes a gentle end one at once. `deadline_seconds` ends a run whose source has none.
    `began` hears of each run's number, `committed` of each batch that it commits then.
    After a failure that may pass, `revive` may start the server; then the run waits `reconnect_seconds` for it.
    """

    options: ConnectionOptions
    revive: Callable[[], Awaitable[object]] = _nothing_to_revive
    reconnect_seconds: float = RECONNECT_SECONDS
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    stop_grace_seconds: float = STOP_GRACE_SECONDS
    deadline_seconds: float | None = None
    began: Callable[[str, int], None] = _ignore
    committed: Callable[[str, Counters], None] = _ignore
    faults: Faults = field(default_factory=Faults)
    limits: BatchLimits = field(default_factory=BatchLimits)


async def run_source(job: SourceJob, request: Request, conditions: Conditions) -> RunOutcome:
    """Run a source once. Every error ends in the outcome, and on the run's row, so that other sources go on.

    What nobody expected is logged here, once, with its stack.
    """
    deadline_seconds = conditions.deadline_seconds if job.deadline is None else job.deadline.total_seconds()
    async with watching(
        conditions.stop, conditions.at_once,
        grace_seconds=conditions.stop_grace_seconds, deadline_seconds=deadline_seconds,
    ) as ending:  # fmt: skip
        try:
            work = _run_until_over(job, request, replace(conditions, stop=ending.asked), ending)
            running = ending.obeyed(work, _nothing_to_cut_off, turn=Turn.ALL)
            return await observed(job.source.name, request, running)
        except (StoppedError, DeadlineError) as error:
            return _ended_early(job, error)


async def _run_until_over(job: SourceJob, request: Request, conditions: Conditions, ending: Ending) -> RunOutcome:
    """Begin again from the database as long as that helps. Raises the reason of the end when there is no run's row."""
    recovery = Recovery(
        job.source.name, conditions.options, revive=conditions.revive,
        reconnect_seconds=conditions.reconnect_seconds, stop=conditions.stop,
    )  # fmt: skip
    progress = _Progress(conditions, recovery)
    while True:
        try:
            async with hold(conditions.options, job, stop=conditions.stop) as coordinator:
                recovery.connected(coordinator.session)
                observed = replace(conditions, began=progress.began, committed=progress.committed)
                conditions.faults.sever_coordinator = coordinator.live.sever
                own = faulty_job(job, conditions.faults)
                outcome = await _run_claimed(coordinator, own, request, observed, ending=ending)
                return replace(outcome, rejected=progress.rejected, earlier=await progress.earlier(coordinator))
        except PassExpiredError as error:
            if request.abandon:
                return _ended_early(job, error)
            log.warning("run.pass_abandoned", source=job.source.name, message=error.message)
            request = replace(request, abandon=True, unless_newer_than=None)
        except KasparroError as error:
            ending.require_goes_on()
            ended = await recovery.after(error)
            ending.require_goes_on()
            if ended is not None:
                return _ended_early(job, ended)
            request = replace(request, unless_newer_than=None)  # what is newer may be ours
        except Exception as bug:  # noqa: BLE001  a bug that one source meets must not stop the others
            return _ended_early(job, unexpected(log.bind(source=job.source.name), bug))


def _ended_early(job: SourceJob, error: KasparroError) -> RunOutcome:
    """The outcome where no row of the run could be closed with it."""
    return RunOutcome(job.source.name, "cancelled" if isinstance(error, StoppedError) else "failed", None, error)


def _nothing_to_cut_off() -> None:
    """For work that ends when it is cancelled."""


class _Progress:
    """Counts rejects and runs, and tells the recovery of runs that begin and of batches that are committed."""

    def __init__(self, conditions: Conditions, recovery: Recovery) -> None:
        self._conditions = conditions
        self._recovery = recovery
        self.rejected = 0
        self.run_ids: list[int] = []

    async def earlier(self, coordinator: Coordinator) -> tuple[dict[str, Any], ...]:
        """The rows of all runs but the last."""
        if len(self.run_ids) < 2:
            return ()
        async with coordinator.live.use() as connection:
            return tuple(await run_pages.some(connection, self.run_ids[:-1]))

    def began(self, source: str, run_id: int) -> None:
        self.run_ids.append(run_id)
        self._recovery.began(run_id)
        self._conditions.began(source, run_id)

    def committed(self, source: str, counters: Counters) -> None:
        self._recovery.progressed()
        self.rejected += counters.rejected
        self._conditions.committed(source, counters)


async def _run_claimed(
    coordinator: Coordinator, job: SourceJob, request: Request, conditions: Conditions, *, ending: Ending
) -> RunOutcome:
    plan = await coordinator.claim(job, request)
    run_id = plan.stamp.run_id
    conditions.began(job.source.name, run_id)
    name_run(plan.stamp)
    bound = log.bind(source=job.source.name, run_id=run_id)
    log_start(bound, plan)
    error: KasparroError | None = None
    try:
        cut_off = lambda: ending.cut_off_lanes()  # noqa: E731, PLW0108  the lanes are opened later
        reading = attended_by(
            [coordinator.live],
            lambda: _read_all(coordinator, job, plan, conditions, ending=ending),
            when_lost=cut_off,
        )
        await ending.obeyed(reading, cut_off, turn=Turn.READING)
    except FencedError:
        raise
    except MAY_PASS:
        if (error := ending.reason) is None:
            raise
    except KasparroError as caught:
        error = caught
    except Exception as bug:  # noqa: BLE001  the run is closed with it; see run_source
        error = unexpected(bound, bug)
    if error is not None:
        closing = _close_early(coordinator, plan.stamp, error, at_once=ending.at_once.is_set())
        error = await ending.obeyed(closing, coordinator.live.cut_off, turn=Turn.RECORDING)
    async with coordinator.live.use() as connection:
        row = await run_pages.find(connection, run_id)
        if row["duplicate"]:
            await report_repeats(bound, connection, row)
        judged = await report_quality(bound, connection, plan)
        found = await run_facts.counts(connection, run_id)
        unusual = await report_anomalies(bound, connection, run_id) if found["anomalies"] else ()
    coordinator.watching.report(job.source.name, run_id)
    log_end(bound, row, found, plan.reject_codes)
    if error is None:
        await refresh_statistics(coordinator.live, job.source.name, plan.stamp.source_id, inserted=row["inserted"])
    if isinstance(error, PassExpiredError):
        raise error
    ended = error or quality_error(row)
    return RunOutcome(job.source.name, str(row["state"]), row, ended, quality=judged, anomalies=unusual)


async def _close_early(
    coordinator: Coordinator, stamp: RunStamp, error: KasparroError, *, at_once: bool
) -> KasparroError | None:
    """Record why the run ended before its sources did; None when it had come to its end just as it was given up."""
    if at_once:
        async with coordinator.live.use() as connection:
            await locks.end_sessions(connection, [stamp.run_id], [])
            if (await run_pages.find(connection, stamp.run_id))["finished_at"] is not None:
                return None
    await coordinator.fail(stamp, state_after(error), error)
    return error


async def _read_all(
    coordinator: Coordinator, job: SourceJob, plan: RunPlan, conditions: Conditions, *, ending: Ending
) -> None:
    """Read the partitions one after another. One that fails does not keep the others from finishing."""
    failures: list[SourceError] = []
    own = coordinator.watching.over(for_first_load(job) if plan.first_load else job)
    async with _lanes(plan, conditions) as lanes, _reading_ahead(job.source, plan, conditions.limits):
        ending.cut_off_lanes = lambda: _cut_off(lanes)
        for position, partition in enumerate(plan.partitions):
            ending.require_goes_on()
            for lane, state in zip(lanes, partition.lanes, strict=True):
                lane.store.begin(partition.name, state)
            pipeline = Pipeline(
                observed_job(own), partition, lanes, stop=conditions.stop,
                limits=conditions.limits, committed=lambda counters: conditions.committed(job.source.name, counters),
            )  # fmt: skip
            try:
                final = await attended_by([lane.live for lane in lanes], pipeline.run)
            except SourceError as error:
                failures.append(error)
                if isinstance(job.source, ReadsDocuments) or _starves_others(plan, partition, pipeline):
                    await coordinator.end_failed_partition(plan, partition)
                continue
            if final is None:
                raise ending.why()
            last = position == len(plan.partitions) - 1 and not failures
            lanes_at = pipeline.lane_states()
            await repeated(partial(coordinator.finish_partition, plan, partition.name, lanes_at, final, last=last))
    if failures:
        raise _joined(failures, partitions=plan.partitions_in_all)


def _cut_off(lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.live.cut_off()


def _starves_others(plan: RunPlan, partition: PartitionPlan, pipeline: Pipeline) -> bool:
    """Whether a partition failed again where it was resumed, while the pass has others, which wait for its end.

    An operation's others wait for nothing: each run reads them all, and none but the whole is done.
    """
    resumed = plan.resumes_run_id is not None and plan.partitions_in_all > 1 and plan.operation is None
    return resumed and [state.ordinal for state in pipeline.lane_states()] == [item.ordinal for item in partition.lanes]


def _reading_ahead(source: Source, plan: RunPlan, limits: BatchLimits) -> AbstractAsyncContextManager[None]:
    """Tells a source that can fetch ahead what is going to be read."""
    if not isinstance(source, ReadsDocuments):
        return nullcontext()
    return source.reading_ahead({each.name: Start(each.settled, each.cursor, limits) for each in plan.partitions})


def _joined(failures: list[SourceError], *, partitions: int) -> SourceError:
    """One error that names every partition that failed; it says when to come back if no partition will fare better."""
    joined = failures[0] if len(failures) == 1 else SourceError("; ".join(error.message for error in failures))
    hints = [error.retry_after_seconds for error in failures if error.retry_after_seconds is not None]
    joined.retry_after_seconds = min(hints) if len(hints) == partitions else None
    return joined


@asynccontextmanager
async def _lanes(plan: RunPlan, conditions: Conditions) -> AsyncGenerator[list[Lane]]:
    """A connection and a store for each lane, for the whole run."""
    async with AsyncExitStack() as stack:
        lanes: list[Lane] = []
        for number in range(len(plan.partitions[0].lanes)):
            name = locks.application_name(plan.stamp.run_id, number)
            live = await LiveConnection.open(conditions.options, application_name=name, settings=LANE_SETTINGS)
            stack.push_async_callback(live.close)
            async with live.use() as connection:
                store = lane_store(connection, plan)
            lanes.append(Lane(live, observed_store(faulty_store(store, live, conditions.faults), plan.reject_codes)))
        yield lanes
