"""Comparing what a source has with a complete reading of it: what that lacks is gone. In the pass's final transaction.

Whether a reading was complete is asked of the database, over all runs of the pass, and any doubt deletes nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from kasparro.core.canonical import storable_text
from kasparro.core.database import Connection
from kasparro.core.errors import TooManyGoneError
from kasparro.core.masking import mask_text
from kasparro.ingestion.passes import find_open
from kasparro.schemas.batches import RunStamp
from kasparro.services import checkpoints, run_pages, snapshots
from kasparro.services.checkpoints import PARTITION_LANE, Checkpoint
from kasparro.services.snapshots import Part

COMPARED = "compared"
"""What a run's `snapshot` says when it was; else it says why not."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How to compare: `partitions` are those that the source had when the run began."""

    source: str
    max_share: float
    confirmed: bool
    partitions: frozenset[str]


async def compare(connection: Connection, stamp: RunStamp, snapshot: Snapshot, at: datetime) -> None:
    """Mark what the pass has not seen as gone, and say on the run's row how many that were, or why it was not done.

    Records that a replay has left out are marked as well, and not counted: they were not live.

    Raises TooManyGoneError.
    """
    bound = log.bind(source=snapshot.source, run_id=stamp.run_id)
    parts = await snapshots.parts(connection, stamp)
    obstacle = _obstacle(parts, snapshot.partitions, stamp.source_type) or await _nameless(connection, stamp)
    if obstacle is not None:
        obstacle = storable_text(mask_text(obstacle))
        await snapshots.note(connection, stamp.run_id, obstacle, 0)
        is_usual = all(part.coverage in {"none", "window"} for part in parts)
        level = logging.INFO if is_usual else logging.WARNING
        bound.log(level, "run.snapshot_not_compared", message=f"nothing is taken for gone: {obstacle}")
        return
    missing = await snapshots.missing(connection, stamp)
    gone, left_out = len(missing.live), len(missing.left_out)
    if gone:
        await _require_plausible(connection, stamp, snapshot, gone)
    if gone or left_out:
        await snapshots.mark_gone(connection, stamp, missing, at)
    await snapshots.note(connection, stamp.run_id, COMPARED, gone)
    message = f"{gone:,} records are gone"
    bound.info("run.snapshot_compared", message=message, records_gone=gone, left_out_gone=left_out)


async def must_read_all(connection: Connection, source_id: int, snapshot: Snapshot, rows: Sequence[Checkpoint]) -> bool:
    """Whether only reading everything allows for a comparison; in the claim's transaction.

    That is so when the last pass read some partitions completely and others not, when some are there no more (they are
    then forgotten), or when the open pass lacked too much and nobody has confirmed that.
    """
    if not snapshot.partitions:
        return False
    open_pass = find_open(list(rows))
    if open_pass is not None:
        refused = (await run_pages.find(connection, open_pass.run_id))["error_code"] == TooManyGoneError.code
        return refused and not snapshot.confirmed
    settled = {row.partition: row.coverage for row in rows if row.lane == PARTITION_LANE}
    lost = settled.keys() - snapshot.partitions
    if lost:
        await checkpoints.forget(connection, source_id, sorted(lost))
    coverages = {settled.get(name) for name in snapshot.partitions}
    return bool(lost) or ("full" in coverages and "none" in coverages)


def _obstacle(parts: Sequence[Part], partitions: frozenset[str], source_type: str) -> str | None:
    """Why the pass cannot have seen every record; None when it has."""
    for part in parts:
        if part.coverage != "full":
            return f"{part.partition} was not read completely ({_reason(part, source_type)})"
        if part.fetched == 0:
            return f"{part.partition} held no records"
        if part.fetched != part.ordinal:
            return f"{part.partition}: {part.fetched} of {part.ordinal} records are known to its batches"
    unread = sorted(partitions.difference(part.partition for part in parts))
    return f"{unread[0]} is new, and was not read yet" if unread else None


def _reason(part: Part, source_type: str) -> str:
    """Of the coverage: pages of an API that are asked for by their numbers, and ends that say little, make a window."""
    reasons = {"none": "it is as it was", "window": "records may have slipped past its pages"}
    if source_type == "csv":
        reasons["window"] = "only what was added was read"
    return reasons.get(part.coverage or "", "its reading failed")


async def _nameless(connection: Connection, stamp: RunStamp) -> str | None:
    locator = await snapshots.nameless_reject(connection, stamp)
    return None if locator is None else f"{locator} was rejected, and its key cannot be told: it may be any record"


async def _require_plausible(connection: Connection, stamp: RunStamp, snapshot: Snapshot, gone: int) -> None:
    """Raises TooManyGoneError when more is missing than may be without asking."""
    live = await snapshots.count_live(connection, stamp.source_id)
    if snapshot.confirmed or gone <= snapshot.max_share * live:
        return
    raise TooManyGoneError(
        f"{snapshot.source}: {gone:,} of {live:,} records are missing from a complete reading, more than "
        f"deletes.max_share allows ({snapshot.max_share:g}): none of them was deleted",
        hint=f"Look at the source. If they are really gone: `kasparro run {snapshot.source} --confirm`.",
    )
