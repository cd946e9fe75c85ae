"""A requeue that fails, loses its connections or is killed at every point: begun again, everything lands once."""

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.faults import POINTS, Faults, parse_plans
from kasparro.services import digest
from tests.fix_database import cloned
from tests.recovery import requeue_child
from tests.recovery.facts import url_of
from tests.recovery.requeue_child import Items

SUMS = """
select sum(r.fetched)::int as fetched, sum(r.inserted)::int as inserted, sum(r.updated)::int as updated,
       sum(r.duplicate)::int as duplicate, sum(r.unchanged)::int as unchanged, sum(r.raw_written)::int as raw_written
from etl_runs r join sources s on s.id = r.source_id where s.name = $1 and r.operation = 'requeue'
"""
LANDED = {"fetched": 11, "inserted": 10, "updated": 0, "duplicate": 1, "unchanged": 0, "raw_written": 0}


@dataclass(frozen=True)
class Stage:
    """One database for all, each test with a source of its own; `clean` was loaded by the mended mapping at once."""

    items: Items
    connection: Connection

    async def check(self, name: str) -> None:
        """Everything has landed, as often as if nothing had happened, and nothing is left behind."""
        found = {row["name"]: row["digest"] for row in await self.connection.fetch("select name, digest from sources")}
        assert found[name] == found["clean"]
        source_id = await self.connection.fetchval("select id from sources where name = $1", name)
        async with self.connection.transaction():
            assert await digest.recompute(self.connection, source_id) == found["clean"]
        sums = await self.connection.fetchrow(SUMS, name)
        assert sums is not None
        assert dict(sums) == LANDED
        states = await self.connection.fetch(
            "select state, count(*) from rejected_records where source_id = $1 group by state", source_id
        )
        assert [tuple(item) for item in states] == [("requeued", 11)]
        left = "select count(*) from etl_checkpoints where source_id = $1 and scope <> ''"
        assert await self.connection.fetchval(left, source_id) == 0


@pytest.fixture(scope="module", autouse=True)
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
async def stage(
    template_database: str,
    server: ConnectionOptions,
    administrator: Connection,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    async with cloned(template_database, server, administrator) as options:
        items = Items(tmp_path_factory.mktemp("items"), options)
        items.write()
        assert (await items.load("mended", "clean")).state == "succeeded"
        connection = await connect(options, application_name="kasparro:test")
        yield Stage(items, connection)
        await connection.close()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["error", "disconnect"])
async def test_requeue_that_fails_is_ended_by_the_next(stage: Stage, point: str, kind: str) -> None:
    name = f"{point} {kind}"
    assert (await stage.items.load("bad", name)).state == "partial"
    faults = Faults(parse_plans(f"{point}:{kind}:2", environment="test"))
    outcome = await stage.items.requeue(name, faults)
    assert faults.struck
    if outcome.error is not None:
        outcome = await stage.items.requeue(name, Faults())
    assert outcome.error is None
    await stage.check(name)


@pytest.mark.parametrize("point", POINTS)
async def test_requeue_that_is_killed_is_ended_by_the_next(stage: Stage, point: str) -> None:
    name = f"{point} kill"
    assert (await stage.items.load("bad", name)).state == "partial"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kasparro.cli.chaos_warm"])
    arguments = (url_of(stage.items.options), str(stage.items.folder), name, f"{point}:kill:2")
    process = context.Process(target=requeue_child.requeue, args=arguments)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL

    outcome = await stage.items.requeue(name, Faults())
    assert outcome.error is None
    assert outcome.row is not None
    assert outcome.row["resumes_run_id"] is not None
    await stage.check(name)
