"""`kasparro chaos` over a real database: what it finds, what it leaves behind, and where it does not judge."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kasparro.cli import chaos_runs
from kasparro.cli.chaos_child import Order
from kasparro.cli.chaos_runs import Ended
from kasparro.cli.chaos_trials import Attempt, Wanted, try_source
from kasparro.cli.frame import Context
from kasparro.cli.output import Output
from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import DatabaseError, SourceError
from kasparro.core.settings import load_settings
from kasparro.ingestion.faults import parse_plans
from kasparro.ingestion.operations.chaos import Moment
from kasparro.services import scratch
from tests.acceptance.kasparro_process import environment, finish, kasparro, start
from tests.http_server import Reply, Request, Upstream, json_answer, running
from tests.recovery.facts import url_of
from tests.recovery.small_sources import SmallSources, items, small_sources

RUN = chaos_runs.run
SCRATCH = "select count(*)::int from pg_database where datname like 'kasparro_scratch%'"
Deed = Callable[[Order], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """Three sources, the upstream of two of them, and the database that chaos makes its own beside."""

    sources: SmallSources
    upstream: Upstream
    options: ConnectionOptions

    async def attempts(self, source: str, *plans: str, kills: int = 0) -> list[Attempt]:
        parsed = tuple(parse_plans(text, environment="development") for text in plans)
        variables = {"KASPARRO_CONFIG": str(self.sources.path), "DATABASE_URL": url_of(self.options)}
        context = Context(load_settings(variables), Output(quiet=True))
        return await try_source(context, self.options, source, Wanted(parsed, 2, 2, kills, 7, 3))


@pytest.fixture
async def place(tmp_path: Path, empty_database: ConnectionOptions) -> AsyncIterator[Place]:
    async with running() as upstream, small_sources(tmp_path, upstream) as made:
        yield Place(made, upstream, empty_database)


@pytest.fixture
def after_faults(monkeypatch: pytest.MonkeyPatch) -> Callable[[Deed], None]:
    """Lets something happen to a source behind each run that is disturbed by a plan."""

    def install(deed: Deed) -> None:
        async def run(order: Order, *, kill_at: Moment | None = None, patience_seconds: float) -> Ended:
            ended = await RUN(order, kill_at=kill_at, patience_seconds=patience_seconds)
            if order.plans:
                await deed(order)
            return ended

        monkeypatch.setattr(chaos_runs, "run", run)

    return install


async def test_nothing_is_lost(place: Place, administrator: Connection) -> None:
    plans = ("commit:kill:2@1", "load:timeout:1,load:timeout:1,load:timeout:1", "committed:error:1", "load:kill:99")
    tried = await place.attempts("csv", *plans, kills=2)
    assert [attempt.name for attempt in tried[:4]] == list(plans)
    assert [attempt.struck for attempt in tried[:4]] == [True, True, True, False]
    assert [attempt.runs for attempt in tried[:4]] == [2, 2, 1, 1]
    assert sum(len(attempt.moments) for attempt in tried[4:]) == 2
    assert [attempt.differences for attempt in tried] == [()] * len(tried)
    assert await administrator.fetchval(SCRATCH) == 0


async def test_what_a_killed_chaos_left_behind_is_removed(place: Place, administrator: Connection) -> None:
    """One that is younger than an hour may be another's, who is just about to use it."""
    old, young = f"kasparro_scratch_{1_700_000_000:x}_00ff", scratch.new_name()
    for name in (old, young):
        await scratch.create(administrator, name)
    await place.attempts("csv", "load:error:1")
    left = "select array(select datname::text from pg_database where datname like 'kasparro_scratch%')"
    assert await administrator.fetchval(left) == [young]
    await scratch.drop(administrator, young)


async def test_lost_record_is_found(place: Place, after_faults: Callable[[Deed], None]) -> None:
    async def lose(order: Order) -> None:
        connection = await connect(order.options, application_name="kasparro:test")
        assert await connection.execute("delete from unified_data where record_key = 'i1'") == "DELETE 1"
        await connection.close()

    after_faults(lose)
    (attempt,) = await place.attempts("csv", "committed:kill:2")
    assert [each.what for each in attempt.differences] == ["digest of the records themselves"]
    assert attempt.command == "kasparro chaos csv --plan committed:kill:2 --concurrency 2 --batch-records 3"


async def test_source_that_goes_away_is_no_difference(place: Place, after_faults: Callable[[Deed], None]) -> None:
    async def take_away(_order: Order) -> None:
        place.upstream.on("/items", json_answer({}, 404))

    after_faults(take_away)
    with pytest.raises(SourceError, match=r"an undisturbed load does not end well: .*404"):
        await place.attempts("api", "commit:kill:1")


async def test_upstream_that_changes_is_not_blamed_on_the_load(
    place: Place, after_faults: Callable[[Deed], None], administrator: Connection
) -> None:
    def page(request: Request) -> Reply:
        return json_answer({"items": items()[:21][int(request.query["offset"]) :][:5]})

    async def change(_order: Order) -> None:
        place.upstream.on("/items", page)

    after_faults(change)
    with pytest.raises(SourceError, match="its upstream changed meanwhile, so nothing can be said") as caught:
        await place.attempts("api", "committed:error:1")
    assert caught.value.exit_code == 4
    assert await administrator.fetchval(SCRATCH) == 0


async def test_source_without_records_has_nothing_to_disturb(place: Place) -> None:
    place.upstream.on("/items", json_answer({"items": []}))
    with pytest.raises(SourceError, match="nothing to disturb"):
        await place.attempts("api", "commit:kill:1")


async def test_right_to_make_databases_is_asked_for(place: Place) -> None:
    limited = replace(place.options, server_settings={"role": "pg_monitor"})
    with pytest.raises(DatabaseError, match="permission denied to create database: a scratch database") as caught:
        await replace(place, options=limited).attempts("csv", "commit:kill:1")
    assert caught.value.hint is not None
    assert "alter role .. createdb" in caught.value.hint
    assert caught.value.exit_code == 5


async def test_command_says_what_it_tried(place: Place) -> None:
    env = environment(DATABASE_URL=url_of(place.options), KASPARRO_CONFIG=str(place.sources.path))
    plans = ["--plan", "commit:kill:2@1", "--plan", "fetch:error:1"]
    ended = await kasparro("chaos", "csv", *plans, "--random", "1", "--seed", "7", env=env)
    assert ended.exit_code == 0, ended.stderr
    assert "nothing was lost, doubled or miscounted" in ended.stdout
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["csv", "commit", "kill", "1", "0", "2", "0"] in lines
    assert ["csv", "fetch", "error", "1", "0", "2", "0"] in lines
    assert "1 random moments (seed 7)" in ended.stdout


async def test_command_is_refused_in_production(place: Place) -> None:
    env = environment(
        DATABASE_URL=url_of(place.options), KASPARRO_CONFIG=str(place.sources.path), KASPARRO_ENVIRONMENT="production"
    )
    assert (await kasparro("chaos", "csv", env=env)).exit_code == 2


async def test_scratch_database_goes_when_the_command_is_interrupted(place: Place, administrator: Connection) -> None:
    env = environment(DATABASE_URL=url_of(place.options), KASPARRO_CONFIG=str(place.sources.path))
    process = await start("-m", "kasparro", "chaos", "csv", env=env)
    async with asyncio.timeout(60):
        while await administrator.fetchval(SCRATCH) == 0:
            pass  # each look is a round trip to the server
        process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert ended.exit_code == 130
    assert await administrator.fetchval(SCRATCH) == 0
