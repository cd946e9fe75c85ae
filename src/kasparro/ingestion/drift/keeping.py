"""What a watched run begins with in the database, and what it leaves there: findings, and the accepted shape."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from kasparro.core.database import Connection
from kasparro.ingestion.drift.watch import Watch, WatchedTransformer
from kasparro.schemas.batches import RunStamp
from kasparro.services import drift

if TYPE_CHECKING:
    from kasparro.ingestion.drift.findings import Kind
    from kasparro.ingestion.drift.verdict import Verdict
    from kasparro.ingestion.job import SourceJob
    from kasparro.ingestion.source import Json

_LOGGED: Final = 10
"""Of more findings in one run, only the number is told."""
log = structlog.get_logger()


class Watching:
    """Watches a coordinator's run, from its claim to its closing. A replay is not watched: its plan shows what it
    changes."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._verdict: Verdict | None = None

    async def begin(self, connection: Connection, job: "SourceJob", stamp: RunStamp) -> None:
        """Load what the run is compared with."""
        watched = job.watched
        if watched is None or not watched.policies.watch or stamp.operation == "replay":
            return
        standing = await drift.standing(connection, stamp.source_id)
        held_back = await drift.held_back(connection, stamp.source_id) if stamp.operation == "requeue" else None
        teaches = stamp.operation is None
        self._watch = Watch(job.source.name, watched, standing, held_back=held_back, teaches=teaches)

    def over(self, job: "SourceJob") -> "SourceJob":
        """The job whose batches are looked at."""
        if self._watch is None:
            return job
        return replace(job, transformer=WatchedTransformer(job.transformer, self._watch))

    async def conclude(self, *, well: bool) -> None:
        """Reckon the verdict on a run that has ended, in a thread."""
        if self._watch is not None and self._watch.has_looked:
            from kasparro.ingestion.drift.verdict import conclude

            self._verdict = await asyncio.to_thread(conclude, self._watch, well=well)

    async def keep(self, connection: Connection, stamp: RunStamp, at: datetime, *, good: bool) -> None:
        """Write the verdict, in the transaction that closes the run; one that is not good after all accepts nothing."""
        if self._verdict is None:
            return
        if not good:
            self._verdict = self._verdict.of_bad_run()
        await _keep(connection, stamp, self._verdict, at)

    def report(self, source: str, run_id: int) -> None:
        """Log each finding that somebody should look at."""
        if self._verdict is not None:
            _report(source, run_id, self._verdict)


async def _keep(connection: Connection, stamp: RunStamp, verdict: "Verdict", at: datetime) -> None:
    stored = await drift.store_findings(connection, stamp.source_id, stamp.run_id, verdict.found, at=at)
    await drift.renew(connection, verdict.renewed, stamp.run_id, at=at)
    ids = {(each.kind, each.field): each.id for each in stored}
    for each in verdict.accepted:
        event_id = ids[each.kind, each.field]
        await drift.close(connection, event_id, state="accepted", by=each.by, reason=each.reason, at=at)
    by = f"run {stamp.run_id}"
    for event_id, reason in verdict.gone:
        await drift.close_all(connection, [event_id], state="gone", by=by, reason=reason, at=at)
    shape = await _with_answered(connection, stamp, verdict, at)
    if shape is not None:
        await drift.save_shape(connection, stamp.source_id, shape, run_id=stamp.run_id, at=at)


async def _with_answered(connection: Connection, stamp: RunStamp, verdict: "Verdict", at: datetime) -> "Json | None":
    """The shape with findings accepted that the mapping has an answer to; None where it stays as it is."""
    from kasparro.ingestion.drift.accepted import with_accepted

    shape = verdict.shape
    for event, answer in verdict.answered:
        known = shape or await drift.accepted_shape(connection, stamp.source_id)
        seen = await drift.seen_profile(connection, event.id)
        if known is not None and (seen is not None or event.kind == "field_missing"):
            kind: Kind = "field_missing" if event.kind == "field_missing" else "field_renamed"
            shape = with_accepted(known, kind, event.field, seen)
            await drift.close_all(connection, [event.id], state="accepted", by="mapping", reason=answer, at=at)
    return shape


def _report(source: str, run_id: int, verdict: "Verdict") -> None:
    accepted = {(each.kind, each.field) for each in verdict.accepted}
    waiting = [found for found in verdict.found if (found.kind, found.field) not in accepted]
    bound = log.bind(source=source, run_id=run_id)
    for found in waiting[:_LOGGED]:
        bound.warning(
            "drift.found", kind=found.kind, field=found.field, mapped=found.mapped, policy=found.policy,
            confidence=found.confidence, share=found.share, example=found.first_example, message=_message(found),
        )  # fmt: skip
    if len(waiting) > _LOGGED:
        bound.warning("drift.found", message=f"{len(waiting) - _LOGGED} more: see `kasparro drift list`")


def _message(found: drift.FoundDrift) -> str:
    what = f"{found.kind.replace('_', ' ')}: {found.field} ({found.share:.0%} of records)"
    done = {"quarantine": "they are rejected, and keep their payloads", "fail": "the run fails"}.get(found.policy)
    return f"{what}{f'; {done}' if done else ''}; see `kasparro drift list`"
