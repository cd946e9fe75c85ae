"""Deciding on drift findings: what becomes of the accepted shape, who did it, and what is not done twice."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import RunConflictError, UsageError
from kasparro.ingestion.coordinator import locked_source
from kasparro.ingestion.drift.accepted import seen_fields
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.findings import Finding, example_text
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.operations.drift import decide
from kasparro.services import drift
from kasparro.services.drift import DriftEvent, FoundDrift

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
BEFORE = profile_payloads([{"id": f"q{n * 7919}", "mag": n % 70 / 10} for n in range(400)], ["p"] * 400, 0)
AFTER = profile_payloads([{"id": f"q{n * 7919}", "magnitude": n % 70 / 10} for n in range(400)], ["p"] * 400, 0)


@pytest.fixture
async def finding(connection: Connection) -> DriftEvent:
    """The open rename of `quakes`, found by run 1."""
    await connection.execute("""
        insert into sources (name, type, identity, config_hash) values ('quakes', 'api', '{}', '');
        insert into etl_runs (source_id, trigger, state, pass_id, started_at) select id, 'cli', 'succeeded', 1, now()
        from sources
    """)
    await drift.save_shape(connection, 1, Shape.of(BEFORE).to_json(), run_id=1, at=NOW)
    [found] = compare(Shape.of(BEFORE), AFTER, {"mag"})
    await drift.store_findings(connection, 1, 1, [_stored(found, AFTER)], at=NOW)
    [event] = await drift.open_findings(connection, 1)
    return event


async def test_an_accepted_finding_becomes_the_shape(
    database: ConnectionOptions, connection: Connection, finding: DriftEvent
) -> None:
    closed = await decide(database, finding, "accepted", by="ada", reason="announced", at=NOW)
    assert (closed.state, closed.closed_by, closed.reason, closed.closed_at) == ("accepted", "ada", "announced", NOW)
    shape: Any = await drift.accepted_shape(connection, 1)
    assert sorted(shape["fields"]) == ["id", "magnitude"]
    assert compare(Shape.read(shape), AFTER, {"mag"}) == []


async def test_a_rejected_finding_leaves_the_shape_as_it_is(
    database: ConnectionOptions, connection: Connection, finding: DriftEvent
) -> None:
    closed = await decide(database, finding, "rejected", by="ada", reason=None, at=NOW)
    assert (closed.state, closed.closed_by, closed.reason) == ("rejected", "ada", None)
    assert await drift.accepted_shape(connection, 1) == Shape.of(BEFORE).to_json()


@pytest.mark.parametrize("decision", ["accepted", "rejected"])
async def test_a_closed_finding_cannot_be_closed_again(
    database: ConnectionOptions, finding: DriftEvent, decision: Any
) -> None:
    await decide(database, finding, "rejected", by="ada", reason="two things", at=NOW)
    expected = f"drift {finding.id} is not open: rejected since 2026-11-23T01:00:00Z by ada: two things"
    with pytest.raises(UsageError) as raised:
        await decide(database, finding, decision, by="bob", reason=None, at=NOW)
    assert raised.value.message == expected


async def test_nothing_is_decided_while_a_run_holds_the_source(
    database: ConnectionOptions, connection: Connection, finding: DriftEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kasparro.ingestion.locking.LOCK_WAIT_SECONDS", 0.0)
    async with locked_source(database, "quakes"):
        with pytest.raises(RunConflictError):
            await decide(database, finding, "accepted", by="ada", reason=None, at=NOW)
    assert (await drift.find(connection, finding.id)).state == "open"


async def test_a_finding_without_what_was_seen_cannot_be_accepted(
    database: ConnectionOptions, connection: Connection, finding: DriftEvent
) -> None:
    await connection.execute("update schema_drift_events set profile = null")
    with pytest.raises(UsageError, match="cannot be accepted: what the run has seen was not kept"):
        await decide(database, finding, "accepted", by="ada", reason=None, at=NOW)
    assert await drift.find(connection, finding.id) == finding


async def test_findings_of_a_run_are_those_that_it_saw_first_or_last(
    connection: Connection, finding: DriftEvent
) -> None:
    await connection.execute("""
        insert into etl_runs (source_id, trigger, state, pass_id, started_at)
        select 1, 'cli', 'succeeded', n, now() from generate_series(2, 3) n
    """)
    [found] = compare(Shape.of(BEFORE), AFTER, {"mag"})
    await drift.store_findings(connection, 1, 3, [_stored(found, AFTER)], at=NOW)
    expected = replace(finding, last_run_id=3)
    assert await drift.drift_of_run(connection, 1) == [expected]
    assert await drift.drift_of_run(connection, 2) == []
    assert await drift.drift_of_run(connection, 3) == [expected]
    assert await drift.drift_of_run(connection, 10**30) == []


def _stored(found: Finding, profile: Profile) -> FoundDrift:
    return FoundDrift(
        found.kind, found.field, found.expected, found.seen, found.share, found.confidence, found.parts, found.mapped,
        "quarantine", example_text(found.first), example_text(found.last),
        seen_fields(found.kind, found.field, profile),
    )  # fmt: skip
