"""What is kept of a source for those who watch it: since when it is complete, its circuit, and its open rejects."""

import asyncio
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits, Payload
from kasparro.ingestion.transform import Transformer
from kasparro.services import freshness, metrics, reject_lists
from kasparro.services.reject_lists import RejectFilter
from tests.scripted import ScriptedSource, job_of, key_of, row

ROWS = [row(f"k{number}") for number in range(6)]
KEYS = st.sampled_from(["a", "b", "c", "d", None])
RECORDS = st.lists(st.builds(row, KEYS, st.sampled_from("xy"), bad=st.booleans(), deleted=st.booleans()), max_size=8)
STEPS = st.one_of(
    st.tuples(st.just("run"), RECORDS, st.integers(1, 3), st.sampled_from(["", "commit:disconnect:2", "load:error:2"])),
    st.tuples(st.just("kill"), RECORDS, st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.just("drop"), st.sampled_from(["bad", "key_missing"])),
    st.tuples(st.just("requeue"), st.booleans()),
)
NOW = datetime.fromisoformat("2026-01-10T12:00:00+00:00")


async def run(options: ConnectionOptions, job: SourceJob, **more: Any) -> RunOutcome:
    return await run_source(job, Request(lanes=more.pop("lanes", 1)), Conditions(options, **more))


async def source_row(connection: Connection) -> Any:
    return await connection.fetchrow("select * from sources")


def ready(*_: object) -> None:
    """The upstream answers."""


def failing(*_: object) -> None:
    raise SourceError("the upstream is away")


async def test_the_circuit_opens_with_the_second_failure_and_closes_with_a_success(
    database: ConnectionOptions, connection: Connection
) -> None:
    seen = list[str]()
    for before in (None, failing, failing, failing, None, failing):
        source = ScriptedSource({"p": ROWS}, before=before or ready)
        await run(database, job_of(source))
        seen.append((await source_row(connection))["circuit_state"])
    assert seen == ["closed", "closed", "open", "open", "closed", "closed"]


async def test_the_circuit_is_half_open_while_a_run_tries_again_and_open_after_a_stop(
    database: ConnectionOptions, connection: Connection
) -> None:
    for _ in range(2):
        await run(database, job_of(ScriptedSource({"p": ROWS}, before=failing)))
    stop, seen = asyncio.Event(), list[str]()

    async def look() -> None:
        seen.append((await source_row(connection))["circuit_state"])

    tasks = list[asyncio.Task[None]]()

    def began(_source: str, _run: int) -> None:
        tasks.append(asyncio.create_task(look()))
        stop.set()

    outcome = await run(database, job_of(ScriptedSource({"p": ROWS})), began=began, stop=stop)
    await asyncio.gather(*tasks)
    assert (outcome.state, seen) == ("cancelled", ["half_open"])
    assert (await source_row(connection))["circuit_state"] == "open"


async def test_a_source_is_complete_up_to_the_beginning_of_the_pass_and_not_of_its_last_run(
    database: ConnectionOptions, connection: Connection
) -> None:
    armed = [SourceError("half way")]

    def once(_partition: str, position: int) -> None:
        if position and armed:
            raise armed.pop()

    source = ScriptedSource({"p": ROWS}, before=once)
    failed, resumed = await run(database, job_of(source)), await run(database, job_of(source))
    assert failed.row is not None
    assert resumed.row is not None
    found = await source_row(connection)
    assert resumed.row["resumes_run_id"] == failed.row["id"]
    assert found["complete_at"] == failed.row["started_at"]
    assert found["last_success_at"] == resumed.row["finished_at"]
    await run(database, job_of(ScriptedSource({"p": ROWS}, before=failing)))
    assert (await source_row(connection))["complete_at"] == found["complete_at"]


def test_patience_is_two_more_intervals_between_ten_minutes_and_six_hours() -> None:
    minute, hour = 60, 3600
    intervals = (minute, 5 * minute, hour, 24 * hour, 7 * 24 * hour)
    assert [freshness.stale_after_seconds(each) / 60 for each in intervals] == [11, 15, 180, 1800, 10440]
    old, young = datetime.fromisoformat("2026-01-10T11:44:59+00:00"), datetime.fromisoformat("2026-01-10T11:45:00Z")
    assert freshness.freshness(old, old, 300, NOW) == "stale"
    assert freshness.freshness(young, old, 300, NOW) == "fresh"
    assert freshness.freshness(None, old, 300, NOW) == "stale"
    assert freshness.freshness(old, old, None, NOW) == "unscheduled"


async def test_intervals_are_kept_and_forgotten(connection: Connection) -> None:
    await connection.execute(
        "insert into sources (name, type, identity, config_hash) values ('a', 'csv', '{}', ''), ('b', 'csv', '{}', '')"
    )
    await freshness.save_intervals(connection, {"a": 300.0, "b": 60.0})
    await freshness.forget_intervals(connection, ["a"])
    found = await connection.fetch("select name, interval_seconds from sources order by name")
    assert [tuple(each) for each in found] == [("a", 300.0), ("b", None)]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=6))
async def test_open_rejects_are_counted_as_they_are_after_any_sequence_of_runs_kills_drops_and_requeues(
    database: ConnectionOptions, connection: Connection, steps: list[tuple[Any, ...]]
) -> None:
    for step in steps:
        await take(database, connection, step)
        counted = {each.label: each.value for each in await metrics.open_rejects(connection) if each.value}
        rows = await connection.fetch(
            "select code, count(*) as open from rejected_records where state = 'open' group by code"
        )
        assert counted == {each["code"]: each["open"] for each in rows}, step


async def take(database: ConnectionOptions, connection: Connection, step: tuple[Any, ...]) -> None:
    what, *given_ = step
    if what == "drop":
        await reject_lists.drop(connection, RejectFilter(code=given_[0]), why="no need", at=NOW)
    elif what == "requeue":
        await requeue(database, mended=given_[0])
    elif what == "kill":
        records, lanes, batches = given_
        await killed(database, records, lanes, batches)
    else:
        records, lanes, fault = given_
        faults = Faults(parse_plans(fault, environment="test") if fault else [])
        source = ScriptedSource({"p": records}, batch_size=2)
        await run(database, job_of(source), lanes=lanes, faults=faults, limits=BatchLimits(records=2))


async def killed(database: ConnectionOptions, records: list[Payload], lanes: int, batches: int) -> None:
    """A run that is given up after so many commits, as a killed process gives it up: nothing is closed or told."""
    left, over = [batches], asyncio.Event()

    def committed(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            over.set()

    source = ScriptedSource({"p": records}, batch_size=2)
    limits = BatchLimits(records=2)
    working = asyncio.create_task(run(database, job_of(source), lanes=lanes, committed=committed, limits=limits))
    waiting = asyncio.create_task(over.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (working, waiting):
        task.cancel()
    await asyncio.wait({working, waiting})


async def requeue(database: ConnectionOptions, *, mended: bool) -> None:
    source = ScriptedSource({"p": []})

    def normalize(payload: Payload) -> dict[str, object]:
        return {"record_key": key_of(payload), "title": payload.get("title"), "value": None}

    changes: dict[str, Any] = {"transformer": Transformer(normalize, key_of, None, ())} if mended else {}
    wanted = RejectFilter()
    job = requeue_job(job_of(source, mapping="2" if mended else "1", **changes), wanted, database)
    await run_source(job, requeue_request(wanted, Request()), Conditions(database))
