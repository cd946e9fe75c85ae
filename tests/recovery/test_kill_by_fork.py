"""Killed at every point of the first two batches, in processes forked from a warm one: the next run ends the pass."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from kasparro.cli import chaos_runs
from kasparro.cli.chaos_child import Order
from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.settings import Settings, load_settings
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import LANE_POINTS, POINTS, FaultPlan
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import reckoning, scratch, sources
from tests.fix_database import cloned
from tests.http_server import running
from tests.recovery.facts import Facts, facts_of, url_of
from tests.recovery.small_sources import SMALL, TYPES, SmallSources, small_sources

PATIENCE_SECONDS = 60
PLANS = [
    (lanes, FaultPlan(point, "kill", batch, lane))
    for lanes in (1, 2)
    for point in POINTS
    for batch in (1, 2)
    for lane in (range(lanes) if point in LANE_POINTS else [0])
]


@dataclass(frozen=True)
class Stage:
    """A database that is emptied before each load."""

    sources: SmallSources
    settings: Settings
    options: ConnectionOptions
    connection: Connection

    async def finish(self, source_type: str, lanes: int) -> Facts:
        """Run here, undisturbed, and say what all runs of the source came to."""
        job = self.sources.job(source_type, source_type)
        outcome = await run_source(job, Request(lanes=lanes), Conditions(self.options, limits=SMALL))
        assert outcome.error is None
        return await facts_of(self.connection, source_type)

    async def committed(self, source_type: str) -> int:
        """Records in batches that were committed."""
        source = await sources.get(self.connection, source_type)
        return await reckoning.committed(self.connection, source.id)


@pytest.fixture(scope="module")
async def stage(
    template_database: str,
    server: ConnectionOptions,
    administrator: Connection,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    async with (
        cloned(template_database, server, administrator) as options,
        running() as upstream,
        small_sources(tmp_path_factory.mktemp("small"), upstream) as made,
    ):
        variables = {"KASPARRO_CONFIG": str(made.path), "DATABASE_URL": url_of(options)}
        settings = load_settings({**variables, "KASPARRO_BATCH_RECORDS": str(SMALL.records)})
        connection = await connect(options, application_name="kasparro:test")
        yield Stage(made, settings, options, connection)
        await connection.close()


@pytest.fixture(scope="module")
async def whole(stage: Stage) -> dict[str, Facts]:
    """What undisturbed runs come to, by type."""
    return {source_type: await stage.finish(source_type, 1) for source_type in TYPES}


@pytest.mark.parametrize(("lanes", "plan"), PLANS, ids=str)
@pytest.mark.parametrize("source_type", TYPES)
async def test_killed_pass_is_ended_by_the_next_run(
    stage: Stage, whole: dict[str, Facts], source_type: str, lanes: int, plan: FaultPlan
) -> None:
    await scratch.empty(stage.connection)
    order = Order(stage.settings, stage.options, source_type, lanes, (plan,))
    ended = await chaos_runs.run(order, patience_seconds=PATIENCE_SECONDS)
    assert ended.killed
    assert ended.report is None
    if lanes == 1 and plan.point in LANE_POINTS:
        assert await stage.committed(source_type) == SMALL.records * (plan.batch - (plan.point != "committed"))

    assert await stage.finish(source_type, lanes) == whole[source_type]


async def test_run_that_ends_by_itself_says_how(stage: Stage) -> None:
    await scratch.empty(stage.connection)
    plan = FaultPlan("load", "error", 2)
    order = Order(stage.settings, stage.options, "csv", 1, (plan, FaultPlan("commit", "kill", 9)))
    ended = await chaos_runs.run(order, patience_seconds=PATIENCE_SECONDS)
    assert ended.report is not None
    assert (ended.killed, ended.report.struck) == (False, (plan,))
    assert ended.reason == "database: injected fault load:error:2"
    assert ended.seconds > 0


async def test_run_that_takes_too_long_is_killed(stage: Stage) -> None:
    ended = await chaos_runs.run(Order(stage.settings, stage.options, "csv", 1, ()), patience_seconds=0.0)
    assert ended.killed
    assert ended.reason == "the process was killed"
