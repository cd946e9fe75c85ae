"""A replay that fails or is killed at every point: applied again, it ends as an undisturbed one."""

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.faults import POINTS, Faults, parse_plans
from kasparro.services.replay_plans import ReplayPlan
from tests.fix_database import cloned
from tests.recovery import replay_child
from tests.recovery.facts import url_of
from tests.replays import BEFORE, MIXED, ROWS, Items, counts

SUMS = """
select sum(fetched)::int, sum(updated)::int, sum(filtered)::int, sum(rejected)::int, sum(raw_written)::int
from etl_runs where plan ->> 'scope' = $1
"""


@pytest.fixture(scope="module", autouse=True)
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
async def place(
    template_database: str,
    server: ConnectionOptions,
    administrator: Connection,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Items]:
    """One database for all, with what a clean load under the new mapping comes to."""
    async with cloned(template_database, server, administrator) as options:
        connection = await connect(options, application_name="kasparro:test")
        items = Items(tmp_path_factory.mktemp("items"), options, connection, MIXED)
        items.write(ROWS)
        await items.load("clean")
        yield items
        await connection.close()


async def planned(place: Items, name: str) -> ReplayPlan:
    """The plan of a source of its own, which was loaded under the old mapping."""
    place.name, place.settings = name, BEFORE
    await place.load()
    place.settings = MIXED
    made = await place.plan()
    assert counts(made) == {"changed": 10, "removed": 7, "rejected": 3}
    return made


async def check_applied(place: Items, plan: ReplayPlan) -> None:
    """Everything is as if nothing had happened, and every record was judged once."""
    assert await place.digest() == await place.digest("clean")
    sums = await place.connection.fetchrow(SUMS, plan.scope)
    assert sums is not None
    assert tuple(sums) == (20, 10, 7, 3, 0)
    state = await place.connection.fetchval("select state from replay_plans where id = $1", plan.id)
    left = await place.connection.fetchval("select count(*) from etl_checkpoints where scope = $1", plan.scope)
    assert (state, left) == ("applied", 0)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["error", "disconnect"])
async def test_replay_that_fails_is_ended_by_the_next(place: Items, point: str, kind: str) -> None:
    plan = await planned(place, f"{point}-{kind}")
    faults = Faults(parse_plans(f"{point}:{kind}:2", environment="test"))
    outcome = await place.apply(plan, 2, faults)
    assert faults.struck
    if outcome.error is not None:
        assert (await place.apply(plan, 2)).error is None
    await check_applied(place, plan)


@pytest.mark.parametrize("inject", [*(f"{point}:kill:2" for point in POINTS), "commit:kill:1@1", "committed:kill:1@1"])
async def test_replay_that_is_killed_is_ended_by_the_next(place: Items, inject: str) -> None:
    plan = await planned(place, inject.replace(":", "-").replace("@", "-"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kasparro.cli.chaos_warm"])
    arguments = (url_of(place.options), str(Path(place.folder)), place.name, plan.id, inject)
    process = context.Process(target=replay_child.apply, args=arguments)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL

    outcome = await place.apply(plan, 2)
    assert outcome.error is None
    assert outcome.row is not None
    assert outcome.row["resumes_run_id"] is not None
    await check_applied(place, plan)


async def test_replay_that_was_broken_off_is_refused_once_records_have_changed(place: Items) -> None:
    plan = await planned(place, "broken-off")
    failed = await place.apply(plan, 2, Faults(parse_plans("fetch:error:3", environment="test")))
    assert failed.error is not None
    place.write([*ROWS, "new,new item,1,x,1"])
    await place.load()
    refused = await place.apply(plan, 2)
    assert refused.error is not None
    assert "the source's records have changed since" in refused.error.message
    place.write(ROWS)
    assert (await place.apply(await place.plan(), 2)).error is None
    left = await place.connection.fetchval("select count(*) from etl_checkpoints where scope like 'replay:%'")
    assert left == 0, "nobody would ever go on with the first plan"
