"""What a watched run begins with in the database, and what it leaves there: findings, and the accepted shape."""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from kasparro.core.database import Connection
from kasparro.ingestion.drift.verdict import Verdict, conclude
from kasparro.ingestion.drift.watch import Watch, Watched
from kasparro.schemas.batches import RunStamp
from kasparro.services import drift

_LOGGED: Final = 10
"""Of more findings in one run, only the number is told."""
log = structlog.get_logger()


async def begin_watch(connection: Connection, source: str, stamp: RunStamp, watched: Watched | None) -> Watch | None:
    """What watches the run; None where nothing does. A replay is not watched: its plan shows what it changes."""
    if watched is None or not watched.policies.watch or stamp.operation == "replay":
        return None
    standing = await drift.standing(connection, stamp.source_id)
    held_back = await drift.held_back(connection, stamp.source_id) if stamp.operation == "requeue" else None
    return Watch(source, watched, standing, held_back=held_back, teaches=stamp.operation is None)


async def verdict_on(watch: Watch | None, *, well: bool) -> Verdict:
    """The verdict on a run that has ended, reckoned in a thread."""
    return Verdict() if watch is None else await asyncio.to_thread(conclude, watch, well=well)


async def keep(connection: Connection, stamp: RunStamp, verdict: Verdict, at: datetime) -> None:
    """Write the verdict, in the transaction that closes the run."""
    stored = await drift.store_findings(connection, stamp.source_id, stamp.run_id, verdict.found, at=at)
    await drift.renew(connection, verdict.renewed, stamp.run_id, at=at)
    ids = {(each.kind, each.field): each.id for each in stored}
    for each in verdict.accepted:
        await drift.close(
            connection, ids[each.kind, each.field], state="accepted", by=each.by, reason=each.reason, at=at
        )
    by = f"run {stamp.run_id}"
    for event_id, reason in verdict.gone:
        await drift.close_all(connection, [event_id], state="gone", by=by, reason=reason, at=at)
    if verdict.shape is not None:
        await drift.save_shape(connection, stamp.source_id, verdict.shape, run_id=stamp.run_id, at=at)


def report(source: str, stamp: RunStamp, verdict: Verdict) -> None:
    """Log each finding that somebody should look at."""
    accepted = {(each.kind, each.field) for each in verdict.accepted}
    waiting = [found for found in verdict.found if (found.kind, found.field) not in accepted]
    bound = log.bind(source=source, run_id=stamp.run_id)
    for found in waiting[:_LOGGED]:
        bound.warning(
            "drift.found", kind=found.kind, field=found.field, mapped=found.mapped, policy=found.policy,
            confidence=found.confidence, share=found.share, first_example=found.first_example,
        )  # fmt: skip
    if len(waiting) > _LOGGED:
        bound.warning("drift.found", message=f"{len(waiting) - _LOGGED} more: see `kasparro drift list`")
