"""Deciding on a drift finding by hand, while no run holds its source; a second look at what small runs hold back."""

from collections.abc import Collection
from contextlib import aclosing
from datetime import datetime
from typing import Final, Literal, cast

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import UsageError
from kasparro.ingestion.coordinator import locked_source
from kasparro.ingestion.drift.accepted import with_accepted
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.findings import Finding, Kind
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.operations.requeue import record_of
from kasparro.ingestion.replay_source import records_of
from kasparro.ingestion.source import BatchLimits, Payload
from kasparro.services import drift, requeue_pages, sources, stored_pages
from kasparro.services.drift import DriftEvent
from kasparro.services.reject_lists import RejectFilter
from kasparro.services.requeue_pages import Wanted

Decision = Literal["accepted", "rejected"]
_LIMITS: Final = BatchLimits(records=5_000)
_EXAMPLES: Final = 1_000
"""Payloads that tell by what names they have a field."""


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


async def renames_held_back(connection: Connection, source: str, mapped: Collection[str]) -> tuple[int, list[Finding]]:
    """How many payloads of a source are held back, and what fields they have under other names, taken together.

    Runs that are too small to tell a rename leave a missing field each; their payloads together may tell it.
    """
    found = await sources.get(connection, source)
    standing = await drift.standing(connection, found.id)
    wanted = Wanted(found.id, found.type, RejectFilter(source, "drift"), ())
    place = await requeue_pages.beginning(connection, found.id)
    profile = Profile()
    async for page in requeue_pages.read_pages(
        connection, wanted, place, records=_LIMITS.records, size_bytes=_LIMITS.size_bytes
    ):
        records = list(map(record_of, page.payloads))
        payloads, locators = [record.payload for record in records], [record.locator for record in records]
        profile.absorb(profile_payloads(payloads, locators, profile.records))
    if standing.shape is None:
        return profile.records, []
    rejected = {event.field for event in standing.events if event.state != drift.OPEN}
    findings = compare(Shape.read(standing.shape), profile, mapped, rejected)
    return profile.records, [finding for finding in findings if finding.kind == "field_renamed"]


async def payloads_since(connection: Connection, source: str, run_id: int | None) -> list[Payload]:
    """Some payloads that have come since a drift: those that are held back, else what a run has stored."""
    found = await sources.get(connection, source)
    wanted = Wanted(found.id, found.type, RejectFilter(source, "drift", state="open"), ())
    place = await requeue_pages.beginning(connection, found.id)
    limits = {"records": _EXAMPLES, "size_bytes": _LIMITS.size_bytes}
    async with aclosing(requeue_pages.read_pages(connection, wanted, place, **limits)) as pages:
        async for page in pages:
            if page.payloads:
                return [record_of(waiting).payload for waiting in page.payloads]
    of_run = stored_pages.Wanted(found.id, found.type, run_id=run_id)
    async with aclosing(stored_pages.read_pages(connection, of_run, after=0, **limits)) as stored:
        async for page in stored:
            if page.payloads:
                return [record.payload for record in records_of(page, found.type)]
    return []


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
