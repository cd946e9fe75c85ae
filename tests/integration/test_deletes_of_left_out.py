"""Deletes that arrive while a replay has left the record out: the next mapping does not bring it back."""

from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.services.reject_lists import RejectFilter
from tests.replays import BEFORE, ROWS, Items, counts

MARKED = """, deletes: {tombstone: "name == 'gone'"}"""
WHOLE = ", deletes: {snapshot: true, max_share: 0.01}"
OTHER = BEFORE.replace("value: price", "value: stock")
"""Takes no record whose stock is no number: of the first five items i0 and i4."""


@pytest.fixture
async def items(tmp_path: Path, database: ConnectionOptions, connection: Connection) -> Items:
    made = Items(tmp_path, database, connection)
    made.write(ROWS[:5])
    return made


async def leave_out(items: Items, deletes: str) -> None:
    """Load, and replay with a mapping that rejects i0 and i4."""
    items.settings = BEFORE + deletes
    await items.load()
    items.settings = OTHER + deletes
    planned = await items.plan()
    assert counts(planned)["rejected"] == 2
    assert (await items.apply(planned)).error is None
    assert await deletions(items) == {"i0": "replay", "i4": "replay"}


async def deletions(items: Items) -> dict[str, str]:
    return {key: row["deletion"] for key, row in (await items.records()).items() if row["deletion"]}


async def rejects(items: Items) -> dict[str, tuple[str, str | None]]:
    rows = await items.connection.fetch("select record_key, state, resolution from rejected_records")
    return {row["record_key"]: (row["state"], row["resolution"]) for row in rows}


async def requeued(items: Items) -> RunOutcome:
    chosen, job = RejectFilter(), items.job()
    again = requeue_job(job, chosen, items.options)
    return await run_source(again, requeue_request(chosen, Request()), Conditions(items.options))


def counted(outcome: RunOutcome) -> dict[str, Any]:
    assert outcome.error is None, outcome.error
    assert outcome.row is not None
    names = ("inserted", "updated", "unchanged", "rejected", "deleted", "gone", "raw_written")
    return {name: outcome.row[name] for name in names if outcome.row[name]}


@pytest.mark.parametrize("brought_by", ["replay", "requeue"])
async def test_tombstone_of_a_left_out_record_is_kept(items: Items, brought_by: str) -> None:
    await leave_out(items, MARKED)
    items.write([*ROWS[:5], "i4,gone,,x,1"])
    before = await items.digest()

    done = counted(await items.load())

    assert (done["unchanged"], done.get("deleted"), done.get("raw_written")) == (1, None, None)
    assert await deletions(items) == {"i0": "replay", "i4": "tombstone"}
    assert await rejects(items) == {"i0": ("open", None), "i4": ("resolved", "tombstone")}
    assert await items.digest() == before
    await take_all_again(items, MARKED, brought_by)
    assert await deletions(items) == {"i4": "tombstone"}


@pytest.mark.parametrize("brought_by", ["replay", "requeue"])
async def test_left_out_record_that_a_complete_reading_lacks_is_gone(items: Items, brought_by: str) -> None:
    """And it counts neither as gone nor to what `max_share` allows: it was not live."""
    await leave_out(items, WHOLE)
    items.write(ROWS[:4])
    before = await items.digest()

    outcome = await items.load()

    assert outcome.row is not None
    assert (outcome.row["snapshot"], outcome.row["gone"]) == ("compared", 0)
    assert await deletions(items) == {"i0": "replay", "i4": "gone"}
    assert await rejects(items) == {"i0": ("open", None), "i4": ("resolved", "gone")}
    assert await items.digest() == before
    await take_all_again(items, WHOLE, brought_by)
    assert await deletions(items) == {"i4": "gone"}


async def take_all_again(items: Items, deletes: str, brought_by: str) -> None:
    """Put the mapping back: i0 comes back, and what stands is what a clean load makes."""
    items.settings = BEFORE + deletes
    if brought_by == "requeue":
        assert counted(await requeued(items)) == {"updated": 1}
    planned = await items.plan()
    expected = {"changed": 3, "added": 1} if brought_by == "replay" else {"changed": 3, "unchanged": 1}
    assert counts(planned) == expected
    await items.apply(planned)
    assert counted(await requeued(items)) == {}
    assert await items.digest() == await items.clean_digest()


async def test_record_that_comes_back_behind_its_tombstone_is_revived(items: Items) -> None:
    await leave_out(items, MARKED)
    items.write([*ROWS[:5], "i4,gone,,x,1"])
    await items.load()
    items.write([*ROWS[:5], "i4,gone,,x,1", "i4,item 4,4.50,x,7"])

    assert counted(await items.load()) == {"updated": 1, "raw_written": 1}

    assert await deletions(items) == {"i0": "replay"}


async def test_tombstone_with_a_lower_version_leaves_it_to_the_next_mapping(items: Items) -> None:
    deletes = MARKED + ", version: {field: price, type: text}"
    await leave_out(items, deletes)
    items.write([*ROWS[:5], "i4,gone,3.00,x,1"])

    await items.load()

    assert await deletions(items) == {"i0": "replay", "i4": "replay"}
    items.write([*ROWS[:5], "i4,gone,3.00,x,1", "i4,gone,5.00,x,1"])
    await items.load()
    assert await deletions(items) == {"i0": "replay", "i4": "tombstone"}


async def test_requeued_tombstone_of_a_left_out_record_is_kept(items: Items) -> None:
    """A newer payload was rejected, and is a tombstone by the configuration of now."""
    await leave_out(items, "")
    items.write([*ROWS[:5], "i4,gone,,x,none"])
    await items.load()
    items.settings = OTHER + MARKED

    assert counted(await requeued(items)) == {"unchanged": 1, "rejected": 2}

    assert await deletions(items) == {"i0": "replay", "i4": "tombstone"}
    items.settings = BEFORE + MARKED
    assert counted(await requeued(items)) == {"updated": 1}
    assert await deletions(items) == {"i4": "tombstone"}
