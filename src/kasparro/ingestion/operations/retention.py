"""Retention: dropping what is older than a source wants to keep, without losing what anything still points at.

One transaction for each month of a raw table, under the locks of all sources that have payloads in it: no run moves
pointers meanwhile. Killed at any moment, it leaves each month whole or dropped, and is run again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar

import structlog

from kasparro.core.database import Connection, ConnectionOptions, house_errors
from kasparro.core.errors import ContentionError, QueryTimeoutError, RunConflictError
from kasparro.ingestion.connections import COORDINATOR_SETTINGS, LiveConnection
from kasparro.ingestion.locking import lock
from kasparro.schemas.configuration import Retention
from kasparro.services import (
    checkpoints,
    locks,
    migrations,
    quality,
    raw_retention,
    retention_lock,
    run_thinning,
    schema_lock,
    sources,
)
from kasparro.services.raw_retention import RawMonth
from kasparro.services.run_thinning import Thinned
from kasparro.services.sources import SourceInfo

LOCK_WAIT_SECONDS: Final = 2.0
"""For a source's lock: a run that has it for longer is not waited for."""
DROP_ATTEMPTS: Final = 5
_SETTINGS: Final = {**COORDINATOR_SETTINGS, "lock_timeout": "2s"}
"""While it waits for a table, others wait behind it, so it waits for less than anybody minds; and for longer than a
second, after which autovacuum makes room."""
_PAUSE_SECONDS: Final = 0.5
_ALL: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NOTHING: Final = Thinned()
_Done = TypeVar("_Done")
log = structlog.get_logger()

Fate = Literal["drop", "dropped", "keep", "held", "busy"]
Ages = Mapping[str, Retention]
"""By source; one that is not in it keeps everything for ever."""


@dataclass(frozen=True, slots=True)
class MonthFate:
    """What becomes of a month of a raw table, and why. `drop` is a plan; `held` and `busy` have to wait for next time.

    `kept`: payloads that something points at, where they were counted. `rejects`: closed ones that went with theirs.
    """

    month: RawMonth
    fate: Fate
    reason: str | None = None
    kept: int | None = None
    rejects: int = 0

    @property
    def rows(self) -> int:
        return sum(share.rows for share in self.month.shares)


@dataclass(frozen=True, slots=True)
class SourceFate:
    """Of a source: kept payloads that nothing points at any more, batches of runs that ended long ago, and what quality
    checks said then."""

    source: str
    fate: Fate
    reason: str | None = None
    payloads: int = 0
    payload_bytes: int = 0
    thinned: Thinned = _NOTHING
    verdicts: int = 0


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What was done, or (not `applied`) what would be."""

    applied: bool
    at: datetime
    months: tuple[MonthFate, ...]
    sources: tuple[SourceFate, ...]

    @property
    def skipped(self) -> int:
        """How much has to wait for the next time, because somebody else is at work on it."""
        return sum(item.fate in {"held", "busy"} for item in (*self.months, *self.sources))

    @property
    def size_bytes(self) -> int:
        """Freed, or to be freed; about."""
        months = sum(item.month.size_bytes for item in self.months if item.fate in {"drop", "dropped"})
        return months + sum(item.payload_bytes + item.thinned.size_bytes for item in self.sources)


async def plan(options: ConnectionOptions, ages: Ages, at: datetime) -> RetentionReport:
    """What `apply` would do now. Changes nothing and waits for nobody; counts all raw rows, which takes a while."""
    async with _connected(options) as live, live.use() as connection:
        at = await retention_lock.not_after_now(connection, at)
        found = await raw_retention.months(connection, _ALL, with_pointed=True)
        months = [judge(month, ages, at) for month in found]
        rest = [await _foreseen(connection, source, ages[source.name], at) for source in await _known(connection, ages)]
    return RetentionReport(False, at, tuple(months), tuple(rest))


async def apply(options: ConnectionOptions, ages: Ages, at: datetime) -> RetentionReport:
    """Drop what is older than `ages` say. What somebody holds is left for the next time, and reported as such.

    Raises RunConflictError while another process does the same; DatabaseError: what was dropped before stays dropped.
    """
    async with _connected(options) as live, live.use() as connection:
        await retention_lock.take(connection)
        at = await retention_lock.not_after_now(connection, at)
        months: list[MonthFate] = []
        for month in await raw_retention.months(connection, _latest(ages, at), with_pointed=False):
            fate = judge(month, ages, at)
            months.append(await _dropped(connection, fate) if fate.fate == "drop" else fate)
        rest = [await _thinned(connection, source, ages[source.name], at) for source in await _known(connection, ages)]
    report = RetentionReport(True, at, tuple(months), tuple(rest))
    _log(report)
    return report


def judge(month: RawMonth, ages: Ages, at: datetime) -> MonthFate:
    """Whether a month may go: when all of it is older than each source with payloads in it wants to keep them.

    An empty one goes when it is older than what any source keeps.
    """
    pointed = [share.pointed for share in month.shares]
    kept = None if None in pointed else sum(number or 0 for number in pointed)
    names = [share.source for share in month.shares]
    forever = [name for name in names if _raw_age(ages, name) is None]
    if forever:
        return MonthFate(month, "keep", f"{', '.join(forever)}: no retention.raw, so payloads are kept for ever", kept)
    if month.end > _latest_of([_raw_age(ages, name) for name in names or ages], at):
        return MonthFate(month, "keep", "not old enough", kept)
    return MonthFate(month, "drop", None, kept)


def _latest(ages: Ages, at: datetime) -> datetime:
    """No month that begins after this can be old enough for any source."""
    oldest = [at - age for age in (_raw_age(ages, name) for name in ages) if age is not None]
    return max(oldest, default=datetime.min.replace(tzinfo=at.tzinfo))


def _latest_of(ages: Sequence[timedelta | None], at: datetime) -> datetime:
    """For several: the moment before which everything is old enough for all of them."""
    return min((at - age for age in ages if age is not None), default=datetime.min.replace(tzinfo=at.tzinfo))


def _raw_age(ages: Ages, source: str) -> timedelta | None:
    return ages[source].raw if source in ages else None


async def _dropped(connection: Connection, planned: MonthFate) -> MonthFate:
    async def drop() -> MonthFate:
        for source_id in planned.month.source_ids:  # batches in hand, of a run that died, are waited for
            await checkpoints.lock_all(connection, source_id)
        return await _drop(connection, planned)

    names = [share.source for share in planned.month.shares]
    fate, reason, done = await _under_locks(connection, names, drop)
    return replace(planned, fate=fate, reason=reason) if done is None else done


async def _drop(connection: Connection, planned: MonthFate) -> MonthFate:
    """In the month's transaction."""
    month = planned.month
    if month.partition is not None:
        await raw_retention.keep_out_writers(connection, month.partition)
    if not await raw_retention.sources_in(connection, month) <= set(month.source_ids):
        return replace(planned, fate="busy", reason="another source has written to it meanwhile")
    kept = await raw_retention.keep_pointed(connection, month)
    rejects = await raw_retention.forget_rejects(connection, month)
    if month.partition is None:
        await raw_retention.delete(connection, month)
    else:
        await _drop_partition(connection, month.partition)
    return replace(planned, fate="dropped", kept=kept, rejects=rejects)


async def _drop_partition(connection: Connection, partition: str) -> None:
    """Raises ContentionError when somebody reads the table all the time, or for long.

    Between two tries, those who came meanwhile get their turn.
    """
    for attempt in range(1, DROP_ATTEMPTS + 1):
        try:
            with house_errors():
                async with connection.transaction():
                    return await raw_retention.drop(connection, partition)
        except ContentionError:
            if attempt == DROP_ATTEMPTS:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
    return None


async def _foreseen(connection: Connection, source: SourceInfo, age: Retention, at: datetime) -> SourceFate:
    rows, size_bytes = (0, 0) if age.raw is None else await raw_retention.unpointed(connection, source.id)
    thinned = _NOTHING if age.runs is None else await run_thinning.foldable(connection, source.id, at - age.runs)
    verdicts = 0 if age.runs is None else await quality.old(connection, source.id, at - age.runs)
    return SourceFate(source.name, "drop", None, rows, size_bytes, thinned, verdicts)


async def _thinned(connection: Connection, source: SourceInfo, age: Retention, at: datetime) -> SourceFate:
    thinned, verdicts = _NOTHING, 0
    while age.runs is not None and (more := await run_thinning.fold(connection, source.id, at - age.runs)).runs:
        thinned += more
    while age.runs is not None and (dropped := await quality.forget(connection, source.id, at - age.runs)):
        verdicts += dropped
    if age.raw is None:
        return SourceFate(source.name, "dropped", None, thinned=thinned, verdicts=verdicts)

    async def prune() -> tuple[int, int]:
        await checkpoints.lock_all(connection, source.id)
        return await raw_retention.prune(connection, source.id)

    fate, reason, pruned = await _under_locks(connection, [source.name], prune)
    rows, size_bytes = pruned or (0, 0)
    return SourceFate(source.name, fate, reason, rows, size_bytes, thinned, verdicts)


async def _under_locks(
    connection: Connection, names: Sequence[str], work: Callable[[], Awaitable[_Done]]
) -> tuple[Fate, str | None, _Done | None]:
    """Do the work in a transaction, no run of these sources being at work; None where somebody is in the way."""
    held: list[SourceInfo] = []
    try:
        for name in names:
            source = await sources.get(connection, name)
            await lock(connection, source, LOCK_WAIT_SECONDS)
            held.append(source)
        with house_errors():
            async with connection.transaction():
                done = await work()
    except RunConflictError as conflict:
        return "held", conflict.message, None
    except (ContentionError, QueryTimeoutError) as error:
        return "busy", error.message, None
    finally:
        if not connection.is_closed():
            for source in held:
                await locks.unlock(connection, source.id)
    return "dropped", None, done


async def _known(connection: Connection, ages: Ages) -> list[SourceInfo]:
    """Those that were ever run."""
    found = [await sources.find(connection, name) for name in sorted(ages)]
    return [source for source in found if source is not None]


@asynccontextmanager
async def _connected(options: ConnectionOptions) -> AsyncGenerator[LiveConnection]:
    """Of a session that keeps migrations out."""
    live = await LiveConnection.open(options, application_name="kasparro:retention", settings=_SETTINGS)
    try:
        async with live.use() as connection:
            await schema_lock.share(connection)
            await migrations.require_current(connection)
        yield live
    finally:
        await live.close()


def _log(report: RetentionReport) -> None:
    dropped = [item for item in report.months if item.fate == "dropped"]
    log.info(
        "retention.finished",
        message="what is old enough is dropped",
        partitions=sum(item.month.partition is not None for item in dropped),
        payloads=sum(item.rows - (item.kept or 0) for item in dropped) + sum(item.payloads for item in report.sources),
        kept=sum(item.kept or 0 for item in dropped),
        batches=sum(item.thinned.batches for item in report.sources),
        verdicts=sum(item.verdicts for item in report.sources),
        size_bytes=report.size_bytes,
        skipped=report.skipped,
    )
