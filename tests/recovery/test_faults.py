"""Errors, time-outs and lost connections at every point of the first two batches: a pass ends as an undisturbed one."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest
import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import LANE_POINTS, POINTS, FaultPlan, Faults
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from tests.fix_database import cloned
from tests.http_server import running
from tests.recovery.facts import Facts, facts_of
from tests.recovery.small_sources import SMALL, TYPES, SmallSources, small_sources

FAILS = {
    ("fetch", "error"): "upstream",
    ("fetch", "timeout"): "upstream",
    ("transform", "error"): "unexpected",
    ("transform", "timeout"): "unexpected",
    ("load", "error"): "database",
    ("checkpoint", "error"): "database_full",
    ("checkpoint", "timeout"): "query_timeout",
}
"""What ends a run, with the error of its row; whatever else happens, the run goes on by itself."""
REPEATS = {("load", "timeout"), ("commit", "error")}
"""Contention, for which a run only writes the batch again; for all else it begins anew from the database."""
PLANS = [
    (lanes, FaultPlan(point, kind, batch, lane))
    for lanes in (1, 2)
    for point in POINTS
    for kind in ("error", "timeout", "disconnect")
    for batch in (1, 2)
    for lane in (range(lanes) if point in LANE_POINTS else [0])
]


@dataclass(frozen=True)
class Stage:
    """One database for all plans, each with a source of its own: sources share no row. `whole` is by type."""

    sources: SmallSources
    options: ConnectionOptions
    connection: Connection
    whole: dict[str, Facts]

    async def run(self, job: SourceJob, lanes: int, *plans: FaultPlan) -> RunOutcome:
        faults = Faults(plans)
        conditions = Conditions(self.options, limits=SMALL, faults=faults)
        outcome = await run_source(job, Request(lanes=lanes), conditions)
        assert faults.struck == list(plans)
        return outcome

    async def runs_of(self, name: str) -> list[tuple[str, str | None]]:
        """State and error of each run."""
        rows = await self.connection.fetch(
            "select r.state, r.error_code from etl_runs r join sources s on s.id = r.source_id "
            "where s.name = $1 order by r.id",
            name,
        )
        return [(row["state"], row["error_code"]) for row in rows]


@pytest.fixture(scope="module", autouse=True)
def _silence() -> Iterator[None]:
    """What runs say of their faults fills pages."""
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
    async with (
        cloned(template_database, server, administrator) as options,
        running() as upstream,
        small_sources(tmp_path_factory.mktemp("small"), upstream) as sources,
    ):
        connection = await connect(options, application_name="kasparro:test")
        made = Stage(sources, options, connection, {})
        for source_type in TYPES:
            outcome = await made.run(sources.job(source_type, f"whole {source_type}"), 1)
            assert outcome.error is None
            assert outcome.row is not None
            assert outcome.row["batches"] == 5
            made.whole[source_type] = await facts_of(connection, f"whole {source_type}")
        yield made
        await connection.close()


@pytest.mark.parametrize("source_type", TYPES)
def test_undisturbed_pass_has_all_that_can_go_wrong(stage: Stage, source_type: str) -> None:
    facts = stage.whole[source_type]
    expected = {"csv": (23, 19, 2, 2, 22), "api": (23, 19, 2, 2, 22), "rss": (23, 20, 1, 2, 22)}
    found = (facts.fetched, facts.inserted_and_updated, facts.duplicate, facts.distinct_rejects, facts.raw_rows)
    assert found == expected[source_type]
    assert facts.digest == facts.recomputed


@pytest.mark.parametrize(("lanes", "plan"), PLANS, ids=str)
@pytest.mark.parametrize("source_type", TYPES)
async def test_pass_ends_as_an_undisturbed_one(stage: Stage, source_type: str, lanes: int, plan: FaultPlan) -> None:
    name, at = f"{source_type} {lanes} {plan}", (plan.point, plan.kind)
    job = stage.sources.job(source_type, name)
    outcome = await stage.run(job, lanes, plan)
    if at in FAILS:
        error = "source" if (plan.point, source_type) == ("fetch", "csv") else FAILS[at]
        assert await stage.runs_of(name) == [("failed", error)]
        outcome = await stage.run(job, lanes)
    else:
        lost = [] if at in REPEATS else [("interrupted", "interrupted")]
        assert (await stage.runs_of(name))[:-1] == lost
    assert outcome.error is None

    found, whole = await facts_of(stage.connection, name), stage.whole[source_type]
    if (source_type, *at) in {("rss", "fetch", "error"), ("rss", "fetch", "timeout")} and plan.batch == 2:
        # a document has no position inside, so the next pass reads the first five again
        assert (found.fetched, whole.fetched) == (28, 23)
        found = replace(found, fetched=whole.fetched, duplicate=whole.duplicate)
    assert found == whole
