"""Deciding on a drift finding by hand, while no run holds its source."""

from datetime import datetime
from typing import Literal, cast

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import UsageError
from kasparro.ingestion.coordinator import locked_source
from kasparro.ingestion.drift.accepted import with_accepted
from kasparro.ingestion.drift.findings import Kind
from kasparro.services import drift
from kasparro.services.drift import DriftEvent

Decision = Literal["accepted", "rejected"]


async def decide(
    options: ConnectionOptions, finding: DriftEvent, decision: Decision, *, by: str, reason: str | None, at: datetime
) -> DriftEvent:
    """Close an open finding, and keep who did it, when and why. Returns it as it stands then.

    Accepted, it becomes a part of the accepted shape; a rename that is rejected is not told again. Raises UsageError
    when it is open no more, RunConflictError while a run holds the source.
    """
    async with (
        locked_source(options, finding.source) as (live, _),
        live.use() as connection,
        connection.transaction(),
    ):
        found = await drift.find(connection, finding.id)
        require_open(found)
        if decision == "accepted":
            await _take_into_shape(connection, found, at)
        await drift.close(connection, found.id, state=decision, by=by, reason=reason, at=at)
        return await drift.find(connection, found.id)


def require_open(finding: DriftEvent) -> None:
    """Raises UsageError that says when, by whom and why it was closed."""
    if finding.state == "open":
        return
    since = "" if finding.closed_at is None else f" since {finding.closed_at:%Y-%m-%dT%H:%M:%SZ}"
    by = f" by {finding.closed_by}" if finding.closed_by else ""
    why = f": {finding.reason}" if finding.reason else ""
    hint = "see `kasparro drift list` for those that are open; what comes again is told again under a new number"
    raise UsageError(f"drift {finding.id} is not open: {finding.state}{since}{by}{why}", hint=hint)


async def _take_into_shape(connection: Connection, finding: DriftEvent, at: datetime) -> None:
    shape = await drift.accepted_shape(connection, finding.source_id)
    if shape is None:
        raise UsageError(f"drift {finding.id}: source {finding.source} has no accepted shape")
    seen = await drift.seen_profile(connection, finding.id)
    try:
        accepted = with_accepted(shape, cast("Kind", finding.kind), finding.field, seen)
    except ValueError as error:
        hint = "the next run of the source sees it again; accept it then"
        raise UsageError(f"drift {finding.id} cannot be accepted: {error}", hint=hint) from None
    await drift.save_shape(connection, finding.source_id, accepted, run_id=finding.last_run_id, at=at)
