"""What is told of a run while it works: each line names its source, number and the request that asked for it; spans of
the run, of its stages and batches, where traces are on; and a line for each batch at DEBUG.
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import Any, Final, cast

import structlog

from kasparro.core import tracing
from kasparro.core.errors import KasparroError, RunConflictError, StoppedError
from kasparro.core.logging import get_logger, log_context
from kasparro.ingestion.job import SourceJob, Transforms
from kasparro.ingestion.outcomes import RunOutcome
from kasparro.ingestion.requests import Request
from kasparro.ingestion.source import Batch, FinalBatch, SourceRecord, Start
from kasparro.ingestion.standing_in import StandIn
from kasparro.ingestion.store import LaneStore, Written
from kasparro.ingestion.transform import TransformedBatch
from kasparro.schemas.batches import LaneBatch, LaneState, RunStamp

_DATABASE: Final[tracing.Attributes] = {"db.system.name": "postgresql"}
_log = get_logger(__name__)


async def observed(source: str, request: Request, running: Awaitable[RunOutcome]) -> RunOutcome:
    """What the run comes to. All that is logged meanwhile names the source, and the request that asked for the run."""
    origin = request.origin
    asked = {} if origin is None or origin.request_id is None else {"request_id": origin.request_id}
    operation = None if request.operation is None else request.operation.name
    attributes = {"kasparro.source": source, "kasparro.trigger": request.trigger, "kasparro.operation": operation}
    parent = None if origin is None else origin.traceparent
    with log_context(source=source, **asked), tracing.span(f"run {source}", attributes, parent=parent) as span:
        outcome = await running
        row = outcome.row or {}
        if outcome.row is None and outcome.error is not None:
            _tell_of_none(outcome.state, outcome.error)
        span.set({"kasparro.state": outcome.state, "kasparro.records_fetched": row.get("fetched")})
        if outcome.error is not None and outcome.state not in {"succeeded", "partial"}:
            span.failed(outcome.error.code, outcome.error.message)
        return outcome


def _tell_of_none(state: str, error: KasparroError) -> None:
    """The one line of a run that has no row: it could not begin, or nobody could write down how it ended."""
    if isinstance(error, RunConflictError):  # nothing failed
        _log.info("run.not_recorded", message=error.message, state="skipped")
        return
    usual = isinstance(error, StoppedError)
    said = {"error.type": error.code, "error.message": error.message}
    _log.log(logging.INFO if usual else logging.WARNING, "run.not_recorded", message=error.message, state=state, **said)


def name_run(stamp: RunStamp) -> None:
    """The run's number on every line from now on, and on its span."""
    structlog.contextvars.bind_contextvars(run_id=stamp.run_id)
    tracing.annotate({"kasparro.run_id": stamp.run_id})


def observed_job(job: SourceJob) -> SourceJob:
    """The job with spans around its reading and transforming; itself where nothing is traced."""
    if not tracing.is_on():
        return job
    return replace(job, source=_TracedSource(job.source), transformer=_TracedTransformer(job.transformer))


def observed_store(store: LaneStore, reject_codes: Counter[str]) -> LaneStore:
    """The store with a line and a span for each batch; `reject_codes` counts what is committed."""
    return _ObservedStore(store, reject_codes)


class _TracedSource(StandIn):
    """A source with a span for each batch that is read."""

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        reader = cast("AsyncGenerator[Batch | FinalBatch]", self._source.read(partition, start))
        async with aclosing(reader) as items:
            while (item := await self._next(partition, items)) is not None:
                yield item

    async def _next(self, partition: str, items: AsyncGenerator[Batch | FinalBatch]) -> Batch | FinalBatch | None:
        with tracing.span("read", {"kasparro.source": self.name, "kasparro.partition": partition}) as span:
            item = await anext(items, None)
            if isinstance(item, Batch):
                span.set({"kasparro.records": len(item.records), "kasparro.size_bytes": item.size_bytes})
            return item


class _TracedTransformer:
    """A transformer with a span for each batch."""

    def __init__(self, transformer: Transforms) -> None:
        self._transformer = transformer

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        attributes = {"kasparro.records": len(records), "kasparro.first_ordinal": first_ordinal}
        with tracing.span("transform", attributes):
            return self._transformer.transform(records, first_ordinal)


class _ObservedStore:
    """A lane's store that tells of its batches."""

    def __init__(self, store: LaneStore, reject_codes: Counter[str]) -> None:
        self._store = store
        self._reject_codes = reject_codes
        self._span: tracing.OpenSpan | None = None
        self._batch: LaneBatch | None = None
        self._began = 0.0
        self._attempt = 0

    @property
    def state(self) -> LaneState:
        return self._store.state

    def begin(self, partition: str, state: LaneState) -> None:
        self._store.begin(partition, state)

    async def write_data(self, batch: LaneBatch) -> Written:
        self._attempt = self._attempt + 1 if batch is self._batch else 1
        self._batch, self._began = batch, perf_counter()
        self._span = tracing.open_span("batch", self._attributes(batch)) if tracing.is_on() else None
        with self._part("write"):
            return await self._store.write_data(batch)

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:
        with self._part("checkpoint"):
            await self._store.write_checkpoint(batch, written)

    async def commit(self) -> None:
        with self._part("commit"):
            await self._store.commit()
        self._end()
        batch, self._batch = self._batch, None
        if batch is not None:
            self._tell(batch)

    async def rollback(self) -> None:
        self._end()
        await self._store.rollback()

    def _part(self, name: str) -> Any:
        if self._span is None:
            return tracing.span(name)
        return self._span.part(name, _DATABASE, "client")

    def _end(self) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end()

    def _attributes(self, batch: LaneBatch) -> tracing.Attributes:
        return {
            "kasparro.partition": batch.partition,
            "kasparro.lane": batch.lane,
            "kasparro.batch_no": self.state.seq + 1,
            "kasparro.attempt": self._attempt,
            "kasparro.records": batch.fetched,
            "kasparro.records_rejected": batch.rejected,
        }

    def _tell(self, batch: LaneBatch) -> None:
        for reason in batch.reasons:
            self._reject_codes[reason.code] += reason.times
        _log.debug(
            "batch.committed",
            message=f"{batch.fetched:,} records up to {batch.ordinal:,}",
            partition=batch.partition,
            lane=batch.lane,
            batch_no=self.state.seq,
            attempt=self._attempt,
            records_fetched=batch.fetched,
            records_rejected=batch.rejected,
            size_bytes=batch.size_bytes,
            duration_ms=round((perf_counter() - self._began) * 1000, 1),
        )
