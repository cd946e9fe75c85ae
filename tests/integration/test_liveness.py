"""A run whose process died is shown as running to nobody, and no reader writes that down."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request, hold
from kasparro.services import health, run_pages, sources, stats
from kasparro.services.liveness import dead_runs
from kasparro.services.run_pages import RunFilter
from tests.scripted import ScriptedSource, job_of, row


async def left_running(options: ConnectionOptions, name: str) -> int:
    """The number of a run whose process died right after its claim."""
    job = job_of(ScriptedSource({"p": [row("a")]}, name=name))
    async with hold(options, job) as coordinator:
        return (await coordinator.claim(job, Request())).stamp.run_id


@pytest.fixture
async def alive(database: ConnectionOptions) -> AsyncIterator[int]:
    """The number of a run that is at work."""
    job = job_of(ScriptedSource({"p": [row("a")]}, name="alive"))
    async with hold(database, job) as coordinator:
        yield (await coordinator.claim(job, Request())).stamp.run_id


async def test_dead_run_is_interrupted_wherever_it_is_shown(
    database: ConnectionOptions, connection: Connection, alive: int
) -> None:
    dead = await left_running(database, "dead")
    expected = {alive: "running", dead: "interrupted"}
    assert {row["id"]: row["state"] for row in await run_pages.latest(connection, source=None, limit=9)} == expected
    assert {row["id"]: row["state"] for row in await run_pages.some(connection, [dead, alive])} == expected
    assert {
        row["id"]: row["state"] for row in await run_pages.page(connection, RunFilter(), before=None, limit=9)
    } == expected
    assert {row["run_id"]: row["state"] for row in await sources.list_all(connection)} == expected
    assert {row["run_id"]: row["state"] for row in await sources.page(connection, limit=9)} == expected
    found = await health.read_source_statuses(connection)
    assert {each.last_run.id: each.last_run.state for each in found if each.last_run} == expected
    shown = await run_pages.find_seen(connection, dead)
    assert (shown["state"], shown["error_code"], shown["finished_at"]) == ("interrupted", "interrupted", None)
    assert (await stats.read_stats(connection)).all.running == 1


async def test_filter_by_state_goes_by_what_is_shown(
    database: ConnectionOptions, connection: Connection, alive: int
) -> None:
    dead = await left_running(database, "dead")
    for state, expected in (("running", [alive]), ("interrupted", [dead]), ("succeeded", [])):
        found = await run_pages.page(connection, RunFilter(state=state), before=None, limit=9)
        assert [(row["id"], row["state"]) for row in found] == [(run_id, state) for run_id in expected]


async def test_looking_writes_nothing_and_the_next_run_closes_it(
    database: ConnectionOptions, connection: Connection
) -> None:
    dead = await left_running(database, "dead")
    assert (await dead_runs(connection)).ids == {dead}
    assert await run_pages.have_ended(connection, [dead])
    assert await connection.fetchval("select state from etl_runs where id = $1", dead) == "running"
    await left_running(database, "dead")
    assert await connection.fetchval("select state from etl_runs where id = $1", dead) == "interrupted"


async def test_run_at_work_is_never_shown_as_interrupted_while_it_begins_and_ends(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Looks as fast as it can at runs that come and go: each is seen at work or ended, not as dead."""
    from kasparro.ingestion.run import Conditions, run_source

    async def work() -> None:
        for _ in range(12):
            outcome = await run_source(job_of(ScriptedSource({"p": [row("a")]})), Request(), Conditions(database))
            assert outcome.error is None

    working = asyncio.create_task(work())
    looks = 0
    while not working.done():
        assert (await dead_runs(connection)).ids == frozenset()
        looks += 1
    await working
    assert looks > 12
