"""Backfill: a window of a source's past, read chunk by chunk; each chunk is a run with a pass of its own.

The live checkpoint and an open ordinary pass stay as they are. Between chunks the source's lock is free, so that
ordinary runs come in. Records outside of a chunk's window are filtered; those older than what stands change nothing: by
`version:` where the source has one, else by the field that the window goes by.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kasparro.core.database import Connection
from kasparro.core.errors import RunConflictError, UsageError
from kasparro.ingestion.backfill_store import BackfillLaneStore
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.moments import MomentOf, Window, compile_moment
from kasparro.ingestion.operation import Operation
from kasparro.ingestion.source import Payload
from kasparro.ingestion.sources.api import ApiSource
from kasparro.ingestion.store import LaneStore
from kasparro.ingestion.transform import Transformer
from kasparro.ingestion.versions import version_of
from kasparro.schemas.batches import OperationName, RunStamp
from kasparro.schemas.configuration import AnySourceConfig, ApiSourceConfig, CsvSourceConfig
from kasparro.services import backfills, sources
from kasparro.services.backfills import Backfill

DEFAULT_CHUNK: Final = timedelta(days=1)
"""Where the server can be told where a window ends; any other source is read up to now, or whole, for each chunk."""


@dataclass(frozen=True, slots=True)
class BackfillChunk:
    """The operation: one chunk. `moment_of` tells older from newer, but for records `by_version` says that these do."""

    backfill_id: int
    scope: str
    window: Window
    moment_of: MomentOf
    by_version: bool

    @property
    def name(self) -> OperationName:
        return "backfill"

    async def begin(self, connection: Connection, source_id: int, mapping_version: int) -> None:
        """Raises RunConflictError when the chunk is not the next one any more."""
        del source_id, mapping_version
        row = await backfills.find(connection, self.backfill_id, lock=True)
        if row.state != "open" or row.done_until != self.window.since:
            now = f"done until {row.done_until.isoformat()}" if row.state == "open" else row.state.replace("_", " ")
            raise RunConflictError(f"backfill {row.id}: another process works on it as well, it is {now}")

    async def finish(self, connection: Connection, stamp: RunStamp) -> None:
        del stamp
        await backfills.advance(connection, self.backfill_id, self.window.until)


def chunk_store(connection: Connection, stamp: RunStamp, operation: Operation | None) -> LaneStore:
    """What a chunk's lanes write through."""
    assert isinstance(operation, BackfillChunk)
    return BackfillLaneStore(connection, stamp, operation.moment_of, by_version=operation.by_version)


def require_past(config: AnySourceConfig) -> None:
    """Raise UsageError for a source whose past cannot be asked for, saying why."""
    if isinstance(config, ApiSourceConfig) and config.incremental is None:
        raise UsageError(
            f"source {config.name}: it cannot be asked for a window of time",
            hint="configure `incremental`, or read everything again by `kasparro run --full-refresh`",
        )
    if isinstance(config, CsvSourceConfig) and config.map.occurred_at is None:
        raise UsageError(
            f"source {config.name}: nothing tells which of its rows lie in a window of time",
            hint="map `occurred_at`, or read everything again by `kasparro run --full-refresh`",
        )
    if not isinstance(config, ApiSourceConfig | CsvSourceConfig):
        raise UsageError(
            f"source {config.name}: a feed shows its latest entries alone, there is no way to ask for older ones",
            hint="what it showed before is in the raw payloads: see `kasparro replay`",
        )


def chunk_of(config: AnySourceConfig, window: Window) -> timedelta:
    """How long a chunk is when nobody says: a day where the server can end a window, else the whole window."""
    ends = isinstance(config, ApiSourceConfig) and config.incremental is not None and config.incremental.until_param
    return min(DEFAULT_CHUNK, window.until - window.since) if ends else window.until - window.since


async def open_backfill(
    connection: Connection, job: SourceJob, window: Window, chunk: timedelta, *, anew: bool
) -> tuple[Backfill, Backfill | None]:
    """The backfill of this window: the open one of the same window and chunk, if there is one, or a new one.

    `anew` gives the open one up: it is the second that is returned.
    """
    name, kind = job.source.name, job.source.type
    seconds = int(chunk.total_seconds())
    async with connection.transaction():
        source = await sources.register(connection, name=name, source_type=kind, identity=job.identity)
        found, is_new = await backfills.open_one(connection, source.id, window.since, window.until, seconds)
        if is_new or not anew:
            return found, None
        await backfills.give_up(connection, found)
        made, _ = await backfills.open_one(connection, source.id, window.since, window.until, seconds)
        return made, found


def next_chunk(backfill: Backfill) -> Window | None:
    """What is to be read next; None when all of it is."""
    if backfill.state != "open":
        return None
    end = backfill.done_until + timedelta(seconds=backfill.chunk_seconds)
    return Window(backfill.done_until, min(end, backfill.until))


def chunk_job(
    job: SourceJob, config: AnySourceConfig, backfill: Backfill, window: Window
) -> tuple[SourceJob, BackfillChunk]:
    """The job that reads one chunk, and the operation that its run carries out. The source has a past."""
    moment_of = compile_moment(config)
    assert moment_of is not None
    source, transformer = job.source, job.transformer
    assert isinstance(transformer, Transformer)
    if isinstance(source, ApiSource):
        source = source.within(window.since, window.until)
    within = _within(window, moment_of, timeless=isinstance(config, ApiSourceConfig))
    chunk = BackfillChunk(backfill.id, backfill.scope, window, moment_of, version_of(config) is not None)
    return replace(job, source=source, transformer=_in_window(transformer, within)), chunk


def _within(window: Window, moment_of: MomentOf, *, timeless: bool) -> Callable[[Payload], bool]:
    """`timeless`: what holds for records without a time: an API says that they are of the window, a file does not."""

    def within(payload: Payload) -> bool:
        moment = moment_of(payload)
        return timeless if moment is None else window.holds(moment)

    return within


def _in_window(transformer: Transformer, within: Callable[[Payload], bool]) -> Transformer:
    """Looks at each record as a whole: what does not lie in the window is filtered, whatever it is."""
    keep, is_tombstone = transformer.keep, transformer.is_tombstone

    def kept(payload: Payload) -> bool:
        return within(payload) and (keep is None or keep(payload))

    def buries(payload: Payload) -> bool:
        return is_tombstone is not None and within(payload) and is_tombstone(payload)

    return replace(transformer, keep=kept, is_tombstone=None if is_tombstone is None else buries, mapping=None)
