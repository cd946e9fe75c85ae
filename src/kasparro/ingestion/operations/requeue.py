"""Requeue: the stored payloads of open rejects through today's mapping, as a run under the source's lock.

It covers the rejects that are there when it begins. Killed, it goes on behind its last batch when the same is asked for
again; asked for otherwise, it begins anew, for what has landed is no open reject any more.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect, house_errors
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.source import (
    READER_CODES,
    Batch,
    Defect,
    FinalBatch,
    Json,
    Payload,
    Source,
    SourceRecord,
    Start,
)
from kasparro.ingestion.sources.api.documents import parse_document
from kasparro.ingestion.standing_in import StandIn
from kasparro.schemas.batches import OperationName, RunStamp
from kasparro.schemas.configuration import RejectLimit
from kasparro.services import checkpoints, requeue_pages, sources
from kasparro.services.reject_lists import RejectFilter
from kasparro.services.requeue_pages import Place, Waiting, WaitingPage, Wanted

NAME: Final = "requeue"
PARTITION: Final = "rejects"
_NO_LIMIT: Final = RejectLimit(share=1.0)
_LONGEST_TOLD: Final = 500
_UNSTORABLE: Final = "_unstorable"
_SETTINGS: Final = {"work_mem": "64MB"}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Requeue:
    """The operation: what was chosen of one source's open rejects."""

    chosen: RejectFilter

    @property
    def name(self) -> OperationName:
        return NAME

    @property
    def scope(self) -> str:
        """Another choice is another requeue. Told in full, as the run's plan shows it, unless that is long."""
        told = json.dumps(self.chosen.as_json(), sort_keys=True)
        return f"{NAME}:{told if len(told) <= _LONGEST_TOLD else hashlib.sha256(told.encode()).hexdigest()}"

    async def begin(self, connection: Connection, source_id: int, mapping_version: int) -> None:
        del mapping_version
        await checkpoints.end_others(connection, source_id, prefix=f"{NAME}:", scope=self.scope)

    async def finish(self, connection: Connection, stamp: RunStamp) -> None:
        """Each batch has settled what it judged."""


def requeue_job(job: SourceJob, chosen: RejectFilter, options: ConnectionOptions) -> SourceJob:
    """The job that requeues what is chosen of a source's open rejects: rejects already, so none are too many."""
    return replace(job, source=StoredRejects(job.source, _of_any_source(chosen), options), reject_limit=_NO_LIMIT)


def requeue_request(chosen: RejectFilter, request: Request) -> Request:
    """How to ask for such a run. One lane: payloads are read in the order in which they were seen."""
    return replace(request, lanes=1, full_refresh=False, operation=Requeue(_of_any_source(chosen)))


def _of_any_source(chosen: RejectFilter) -> RejectFilter:
    """The same choice within each source."""
    return replace(chosen, source=None, state="open")


class StoredRejects(StandIn):
    """The chosen rejects as a source of one partition, over a connection of its own."""

    def __init__(self, source: Source, chosen: RejectFilter, options: ConnectionOptions) -> None:
        super().__init__(source)
        self._chosen = chosen
        self._options = options

    async def partitions(self) -> list[str]:
        return [PARTITION]

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        del partition
        name = "kasparro:requeue"
        connection = await connect(self._options, application_name=name, server_settings=_SETTINGS)
        missing = 0
        try:
            with house_errors():
                source = await sources.get(connection, self.name)
                wanted = Wanted(source.id, self.type, self._chosen, sorted(READER_CODES))
                place = await _beginning(connection, source.id, start.cursor)
                limits = start.limits
                async for page in requeue_pages.read_pages(
                    connection, wanted, place, records=limits.records, size_bytes=limits.size_bytes
                ):
                    missing += page.missing
                    yield _batch(page)
        finally:
            connection.terminate()
        if missing:
            message = f"{missing} rejects stay open: their payloads are kept no more"
            log.warning("requeue.payloads_missing", source=self.name, message=message)
        yield FinalBatch({}, "none")


def record_of(waiting: Waiting) -> SourceRecord:
    """The payload as it came, with what its reader knew to be wrong: the payload does not show that."""
    payload: Payload = parse_document(waiting.payload.encode(), waiting.locator, "application/json").value
    known = [Defect(code, message, field) for code, message, field in waiting.known]
    if not known and set(payload) == {_UNSTORABLE}:
        known = [Defect("unstorable", "the payload could not be stored, only its bytes")]
    return SourceRecord(payload, waiting.locator, tuple(known))


def _batch(page: WaitingPage) -> Batch:
    place = page.place
    assert place.seen_at is not None
    seen_at = place.seen_at.isoformat()
    cursor = {"until": place.until, "seen_at": seen_at, "ordinal": place.ordinal, "raw_id": place.raw_id}
    raw_ids = [waiting.raw_id for waiting in page.payloads]
    return Batch(list(map(record_of, page.payloads)), cursor, page.size_bytes, raw_ids)


async def _beginning(connection: Connection, source_id: int, cursor: Json | None) -> Place:
    if cursor is None:
        return await requeue_pages.beginning(connection, source_id)
    return Place(cursor["until"], datetime.fromisoformat(cursor["seen_at"]), cursor["ordinal"], cursor["raw_id"])
