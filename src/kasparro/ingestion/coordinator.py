"""The one connection that holds a source's lock from plan to finish, and every transaction it runs.

Claim: whoever holds the lock knows that an older running run is dead, marks it interrupted, and takes its lanes over.
Finish: what stands for a whole pass is written when every lane has committed its last batch, and only then.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from kasparro import __version__
from kasparro.core.canonical import storable_text
from kasparro.core.database import Connection, ConnectionOptions, house_errors
from kasparro.core.errors import ConservationError, ContentionError, KasparroError, RunConflictError
from kasparro.core.masking import mask_text
from kasparro.ingestion import raw_tables
from kasparro.ingestion.alerting import settle_alerts
from kasparro.ingestion.connections import COORDINATOR_SETTINGS, LiveConnection
from kasparro.ingestion.drift.keeping import Watching
from kasparro.ingestion.ending import not_before
from kasparro.ingestion.job import SourceJob, partitions_of
from kasparro.ingestion.locking import lock
from kasparro.ingestion.passes import OpenPass, PartitionPlan, find_open, fresh
from kasparro.ingestion.quality import faulty_pattern, judge
from kasparro.ingestion.reports import warn_of_new_mapping
from kasparro.ingestion.requests import Request, RunPlan, snapshot_of
from kasparro.ingestion.snapshot import compare, must_read_all
from kasparro.ingestion.source import UNFINISHED_CODES, FinalBatch
from kasparro.ingestion.tallying import Tallying
from kasparro.schemas.batches import LaneState, RunStamp
from kasparro.services import (
    batches,
    checkpoints,
    locks,
    migrations,
    rejects,
    repeats,
    run_pages,
    runs,
    schema_lock,
    sources,
)
from kasparro.services.checkpoints import Checkpoint
from kasparro.services.liveness import INTERRUPTED
from kasparro.services.locks import Session
from kasparro.services.run_queue import ORIGIN
from kasparro.services.runs import NewRun
from kasparro.services.sources import SourceInfo

STUCK_AFTER_SECONDS = 60.0
_CLAIM_ATTEMPTS: Final = 3


class Coordinator:
    """Holds the lock of one source. Made by `hold`."""

    def __init__(
        self, live: LiveConnection, source: SourceInfo, session: Session, job: SourceJob, stuck_after_seconds: float
    ) -> None:
        self.live = live
        self.session = session
        self.watching = Watching()
        self._source = source
        self._rules = job.alerts
        self._tallying = Tallying(job.tally, source.id)
        live.when_pinged = self._tallying.write
        self._stuck_after_seconds = stuck_after_seconds

    async def claim(self, job: SourceJob, request: Request) -> RunPlan:
        """Take the source over and say what there is to read.

        Raises IdentityChangedError, SourceError (the run is then recorded as failed), RunConflictError.
        """
        partitions, failure = await partitions_of(job)
        async with self.live.use() as connection:
            await raw_tables.prepare(connection)
            plan = await self._claim(connection, job, request, partitions)
            failure = failure or await faulty_pattern(connection, job.checks)
            await self.watching.begin(connection, job, plan.stamp)
        if failure is not None:
            await self.fail(plan.stamp, "failed", failure)
            raise failure
        return plan

    async def finish_partition(
        self, plan: RunPlan, partition: str, lanes: list[LaneState], final: FinalBatch, *, last: bool
    ) -> None:
        """The final transaction of a partition; with `last`, it closes the run too.

        Raises FencedError, ConservationError, ContentionError or TooManyGoneError; nothing is then written.
        """
        stamp = plan.stamp
        if len({state.ordinal for state in lanes}) > 1:
            raise ConservationError(f"run {stamp.run_id}, {partition}: lanes ended at different records: {lanes}")
        if last:
            await self.watching.conclude(well=True)
        async with self.live.use() as connection, self._tallying.transaction(connection):
            await checkpoints.require_lanes(connection, stamp, partition, lanes)
            counters, _, _ = await batches.sums(connection, stamp.run_id, partition)
            counters.require_conservation(f"run {stamp.run_id}, {partition}", from_raw=stamp.from_raw)
            if plan.operation is None:
                settled = Checkpoint.settled(
                    partition, pass_id=stamp.pass_id, run_id=stamp.run_id, state=final.state, coverage=final.coverage
                )
                await checkpoints.settle(connection, settled, stamp.source_id)
                if final.reread:
                    await rejects.settle_unfinished(connection, stamp, partition, UNFINISHED_CODES, datetime.now(UTC))
            elif last:
                await plan.operation.finish(connection, stamp)
                await checkpoints.end_scope(connection, stamp)
            if last:
                now = datetime.now(UTC)
                if plan.snapshot is not None:
                    await compare(connection, stamp, plan.snapshot, now)
                judgement = await judge(connection, plan, now)
                await self.watching.keep(connection, stamp, now, good=judgement.state == "succeeded")
                await runs.close(connection, stamp.run_id, state=judgement.state, at=now, error=judgement.reason)
                fresh_now = judgement.state == "succeeded" and plan.operation is None
                await settle_alerts(connection, self._source, self._rules, now, stale_known=fresh_now)

    async def end_failed_partition(self, plan: RunPlan, partition: PartitionPlan) -> None:
        """End the pass over a partition without a position inside, or that fails again at the same one.

        So the next run reads all partitions again, and one that fails for ever keeps no other from being read.
        """
        async with self.live.use() as connection, connection.transaction():
            await checkpoints.end_failed(connection, plan.stamp, partition.name, lanes=len(partition.lanes))

    async def fail(self, stamp: RunStamp, state: str, error: KasparroError) -> None:
        """Close a run that did not reach its end; its lanes are fenced first, so that its sums are final.

        No secret and no variable's value is stored with the error.
        """
        await self.watching.conclude(well=False)
        async with self.live.use() as connection, self._tallying.transaction(connection):
            await checkpoints.release(connection, source_id=self._source.id, run_id=stamp.run_id)
            await self.watching.keep(connection, stamp, datetime.now(UTC), good=False)
            reason = (error.code, storable_text(mask_text(error.about(self._source.name))))
            now = datetime.now(UTC)
            until = not_before(error, now)
            await runs.close(connection, stamp.run_id, state=state, at=now, error=reason, not_before=until)
            await settle_alerts(connection, self._source, self._rules, now)

    async def _claim(self, connection: Connection, job: SourceJob, request: Request, partitions: list[str]) -> RunPlan:
        """The claim's transaction; a writer that is stuck in a batch is ended, and the claim tried again."""
        dead: list[int] = []
        for _ in range(_CLAIM_ATTEMPTS):
            try:
                with house_errors():
                    async with connection.transaction():
                        return await self._claim_once(connection, job, request, partitions)
            except ContentionError:
                dead = await runs.unfinished(connection, self._source.id)
                await locks.end_stuck_writers(connection, dead, older_than_seconds=self._stuck_after_seconds)
        raise RunConflictError(
            f"source {self._source.name}: a batch of run {', '.join(map(str, dead))} is still being written",
            hint=f"its process may be stopped; a run after {self._stuck_after_seconds:.0f} s ends its connection",
        )

    async def _claim_once(
        self, connection: Connection, job: SourceJob, request: Request, partitions: list[str]
    ) -> RunPlan:
        source, now = self._source, datetime.now(UTC)
        known = request.unless_newer_than
        if known is not None and known != await runs.newest(connection, source.name):
            raise RunConflictError(f"source {source.name}: another run was faster")
        rows = await checkpoints.lock_all(connection, source.id, request.scope)
        unfinished = await runs.unfinished(connection, source.id)
        for dead in unfinished:
            await runs.close(connection, dead, state="interrupted", at=now, error=INTERRUPTED)
        await sources.adopt(
            connection, source, source_type=job.source.type, identity=job.identity, config_hash=job.config_hash,
            reads=request.operation is None,
        )  # fmt: skip
        version = await runs.mapping_version(connection, job.mapping_hash, job.mapping_text)
        operation = request.operation
        if operation is None:
            await warn_of_new_mapping(connection, source, version, told=not request.full_refresh)
        else:
            await operation.begin(connection, source.id, version)
        name = operation.name if operation else None
        snapshot = snapshot_of(job, request, partitions)
        if snapshot is not None and await must_read_all(connection, source.id, snapshot, rows):
            request = replace(request, full_refresh=True)
        open_pass = await self._resumable(connection, job, request, rows, partitions, version)
        pass_id = open_pass.pass_id if open_pass else int(await connection.fetchval("select nextval('pass_id_seq')"))
        resumes = open_pass.run_id if open_pass else None
        new = NewRun(source.id, request.trigger, pass_id, resumes, now, job.config_hash, version, __version__, name)
        run_id = request.queued_run_id
        if run_id is None or not await runs.start_queued(connection, run_id, new):
            if run_id not in {None, *unfinished} and not request.abandon:  # else it is ours from before it was lost
                raise RunConflictError(f"run {run_id}: it is not queued any more, somebody else has claimed it")
            run_id = await runs.insert(connection, new)
        stamp = RunStamp(source.id, job.source.type, run_id, pass_id, version, name, request.scope)
        if open_pass is None:
            plans = fresh(rows, partitions, lanes=request.lanes, full_refresh=request.full_refresh)
            await checkpoints.begin_pass(connection, stamp, partitions=partitions, lanes=request.lanes)
        else:
            plans = open_pass.partitions
            await checkpoints.take_over(connection, stamp, expected=open_pass.lane_rows)
        await self._save_plan(connection, run_id, plans, rows, request, open_pass)
        first = open_pass is None and operation is None and not await sources.has_records(connection, source.id)
        in_all = len(open_pass.names) if open_pass else len(plans)
        return RunPlan(stamp, plans, first, resumes, in_all, operation, snapshot, job.checks)

    async def _resumable(
        self,
        connection: Connection,
        job: SourceJob,
        request: Request,
        rows: list[Checkpoint],
        partitions: list[str],
        mapping_version: int,
    ) -> OpenPass | None:
        """The open pass, if this run may go on with it: same configuration and mapping, partitions still there.

        A source that cannot say now which partitions it has (none, that is) keeps its pass open for the next run.
        """
        if request.abandon or request.full_refresh:
            return None
        open_pass = find_open(rows)
        if open_pass is None or (partitions and not open_pass.names <= set(partitions)):
            return None
        earlier = await run_pages.find(connection, open_pass.run_id)
        if (earlier["config_hash"], earlier["mapping_version"]) != (job.config_hash, mapping_version):
            return None
        return open_pass.as_planned(earlier["plan"])

    async def _save_plan(
        self,
        connection: Connection,
        run_id: int,
        plans: list[PartitionPlan],
        rows: list[Checkpoint],
        request: Request,
        open_pass: OpenPass | None,
    ) -> None:
        full_refresh = request.full_refresh or (open_pass is not None and open_pass.full_refresh)
        plan: dict[str, Any] = {
            "partitions": [item.name for item in plans],
            "lanes": len(plans[0].lanes) if plans else request.lanes,
            "full_refresh": full_refresh,
            "scope": request.scope,
            "after_raw_id": await repeats.last_raw_id(connection),
            **({} if request.origin is None else {ORIGIN: request.origin.as_json()}),
        }
        before = {f"{row.partition}#{row.lane}": {"ordinal": row.ordinal, "cursor": row.cursor} for row in rows}
        await runs.save_plan(connection, run_id, plan, before)


@asynccontextmanager
async def hold(
    options: ConnectionOptions,
    job: SourceJob,
    *,
    lock_wait_seconds: float | None = None,
    stuck_after_seconds: float = STUCK_AFTER_SECONDS,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[Coordinator]:
    """A coordinator that holds the source's lock; raises RunConflictError when another session keeps it for 10 s.

    Raises StoppedError when `stop` is set before that.
    """
    read = job.source
    async with _connected(options) as live:
        async with live.use() as connection:
            source = await sources.register(connection, name=read.name, source_type=read.type, identity=job.identity)
            session = await locks.session_of(connection)
            await lock(connection, source, lock_wait_seconds, stop)
        yield Coordinator(live, source, session, job, stuck_after_seconds)


@asynccontextmanager
async def locked_source(options: ConnectionOptions, name: str) -> AsyncGenerator[tuple[LiveConnection, SourceInfo]]:
    """The same lock for an operation that is no run. Raises NotFoundError, RunConflictError."""
    async with _connected(options) as live:
        async with live.use() as connection:
            source = await sources.get(connection, name)
            await lock(connection, source)
        yield live, source


@asynccontextmanager
async def _connected(options: ConnectionOptions) -> AsyncGenerator[LiveConnection]:
    name = locks.application_name(None)
    live = await LiveConnection.open(options, application_name=name, settings=COORDINATOR_SETTINGS)
    try:
        async with live.use() as connection:
            await schema_lock.share(connection)
            await migrations.require_current(connection)
        yield live
    finally:
        await live.close()
