"""Plans of injected faults: what may be written, and where they strike."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from kasparro.core.errors import (
    ConnectionLostError,
    ContentionError,
    DatabaseError,
    DatabaseFullError,
    QueryTimeoutError,
    SourceError,
    UsageError,
)
from kasparro.ingestion.connections import LiveConnection
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.faults import LANE_POINTS, FaultPlan, Faults, FaultyStore, faulty_job, faulty_store, parse_plans
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.lanes import LaneShare
from kasparro.ingestion.source import Batch, ReadsDocuments, SourceRecord, Start
from kasparro.ingestion.store import Written
from kasparro.schemas.batches import LaneBatch, LaneState
from kasparro.schemas.counters import Counters
from tests.scripted import ScriptedSource, job_of, row

BATCH = encode_share(LaneShare(0, 1, {}), "p", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("commit:kill:3", FaultPlan("commit", "kill", 3, 0)),
        ("committed:error:1", FaultPlan("committed", "error", 1, 0)),
        ("load:timeout:10@2", FaultPlan("load", "timeout", 10, 2)),
        ("checkpoint:disconnect:1@31", FaultPlan("checkpoint", "disconnect", 1, 31)),
        ("fetch:error:2", FaultPlan("fetch", "error", 2, 0)),
        ("transform:kill:1", FaultPlan("transform", "kill", 1, 0)),
    ],
)
def test_plan_is_read_and_shown_as_it_was_written(text: str, plan: FaultPlan) -> None:
    assert parse_plans(text, environment="development") == (plan,)
    assert str(plan) == text


def test_several_plans_are_separated_by_commas() -> None:
    plans = parse_plans("load:timeout:1,load:timeout:1,commit:kill:2@1", environment="development")
    assert [str(plan) for plan in plans] == ["load:timeout:1", "load:timeout:1", "commit:kill:2@1"]


@pytest.mark.parametrize(
    "text",
    [
        "", "commit", "commit:kill", "commit:kill:0", "commit:kill:-1", "commit:kill:1@", "comit:kill:1",
        "commit:slow:1", "commit:kill:1 ", "commit:kill:1@x", "COMMIT:kill:1", "commit:kill:1\n",
        "commit:kill:1,", "commit:kill:1, load:kill:1", "commit:kill:1234567890",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_possible(text: str) -> None:
    with pytest.raises(UsageError, match="one of fetch, transform, load, checkpoint, commit, committed") as caught:
        parse_plans(text, environment="development")
    assert caught.value.hint == "for example commit:kill:3"


def test_production_refuses_every_plan() -> None:
    with pytest.raises(UsageError, match="refused in production"):
        parse_plans("commit:kill:1", environment="production")


@pytest.mark.parametrize("text", ["fetch:error:1@0", "transform:kill:2@1"])
def test_what_comes_before_lanes_takes_none(text: str) -> None:
    with pytest.raises(UsageError, match="comes before lanes") as caught:
        parse_plans(text, environment="development")
    assert caught.value.hint == f"for example {text[:-2]}"


class RecordingStore:
    """Remembers what it was asked for."""

    def __init__(self, did: list[str], lane: int) -> None:
        self.state = LaneState(lane, 0, 0)
        self._did = did

    def begin(self, partition: str, state: LaneState) -> None:
        self._did.append(f"begin {partition}")
        self.state = state

    async def write_data(self, batch: LaneBatch) -> Written:  # noqa: ARG002
        self._did.append("data")
        return Written(Counters(), 0, None, 0.0)  # pyright: ignore[reportArgumentType]

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:  # noqa: ARG002
        self._did.append("checkpoint")

    async def commit(self) -> None:
        self._did.append("commit")

    async def rollback(self) -> None:
        self._did.append("rollback")


def faulty(did: list[str], *plans: str, lane: int = 0) -> FaultyStore:
    """A recording store with these plans, whose connection is a line of what happened."""
    faults = Faults(parse_plans(",".join(plans), environment="development"))
    return FaultyStore(RecordingStore(did, lane), faults, lambda: did.append("severed"))


async def write_two(store: FaultyStore) -> None:
    for ordinal in (1, 2):
        await write_one(store, ordinal)


async def write_one(store: FaultyStore, ordinal: int) -> None:
    batch = replace(BATCH, ordinal=ordinal)
    await store.write_checkpoint(batch, await store.write_data(batch))
    await store.commit()


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order; a kill is written down instead of carried out."""
    happened: list[str] = []

    def kill(pid: int, number: Any) -> None:
        assert pid == os.getpid()
        happened.append(signal.Signals(number).name)

    monkeypatch.setattr(os, "kill", kill)
    return happened


@pytest.mark.parametrize(("kind", "what"), [("kill", "SIGKILL"), ("disconnect", "severed")])
@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("load", ["data", "checkpoint", "commit", "!", "data", "checkpoint", "commit"]),
        ("checkpoint", ["data", "checkpoint", "commit", "data", "!", "checkpoint", "commit"]),
        ("commit", ["data", "checkpoint", "commit", "data", "checkpoint", "!", "commit"]),
        ("committed", ["data", "checkpoint", "commit", "data", "checkpoint", "commit", "!"]),
    ],
)
async def test_plan_strikes_once_at_its_point_of_its_batch(
    did: list[str], point: str, expected: list[str], kind: str, what: str
) -> None:
    await write_two(faulty(did, f"{point}:{kind}:2"))
    assert did == [what if each == "!" else each for each in expected]


@pytest.mark.parametrize(
    ("point", "kind", "raised"),
    [
        ("load", "error", DatabaseError),
        ("load", "timeout", ContentionError),
        ("checkpoint", "error", DatabaseFullError),
        ("checkpoint", "timeout", QueryTimeoutError),
        ("commit", "error", ContentionError),
        ("commit", "timeout", ConnectionLostError),
        ("committed", "error", ConnectionLostError),
        ("committed", "timeout", ConnectionLostError),
    ],
)
async def test_store_raises_what_the_database_would(
    did: list[str], point: str, kind: str, raised: type[Exception]
) -> None:
    store = faulty(did, f"{point}:{kind}:1")
    with pytest.raises(raised, match=f"injected fault {point}:{kind}:1") as caught:
        await write_one(store, 1)
    assert type(caught.value) is raised
    assert did == [*dict.fromkeys(["data", "checkpoint", "commit"])][: LANE_POINTS.index(point)]
    await write_one(store, 1)


async def test_plan_for_another_lane_does_not_strike(did: list[str]) -> None:
    await write_two(faulty(did, "commit:kill:1@1"))
    assert "SIGKILL" not in did
    await write_two(faulty(did, "commit:kill:1@1", lane=1))
    assert "SIGKILL" in did


async def test_batch_that_is_written_again_is_the_same_one(did: list[str]) -> None:
    store = faulty(did, "load:timeout:1", "load:timeout:1", "load:kill:2")
    for _ in range(2):
        with pytest.raises(ContentionError):
            await write_one(store, 1)
    await write_two(store)
    assert did == ["data", "checkpoint", "commit", "SIGKILL", "data", "checkpoint", "commit"]


async def test_plan_strikes_once_although_the_run_begins_again(did: list[str]) -> None:
    """A lost connection gives a run new stores over the same faults."""
    faults = Faults(parse_plans("commit:kill:1", environment="development"))
    for _ in range(2):
        await write_two(FaultyStore(RecordingStore(did, 0), faults, lambda: None))
    assert did.count("SIGKILL") == 1
    assert [str(plan) for plan in faults.struck] == ["commit:kill:1"]


async def test_everything_else_reaches_the_wrapped_store(did: list[str]) -> None:
    store = faulty(did, "commit:kill:9")
    store.begin("p", LaneState(0, 5, 50))
    await store.rollback()
    assert did == ["begin p", "rollback"]
    assert store.state == LaneState(0, 5, 50)


async def test_nothing_is_wrapped_without_a_plan() -> None:
    job, store, nothing = job_of(ScriptedSource({})), RecordingStore([], 0), Faults()
    assert faulty_job(job, nothing) is job
    assert faulty_store(store, cast("LiveConnection", None), nothing) is store


async def read_into(seen: list[object], job: SourceJob) -> None:
    async for item in job.source.read("p", Start()):
        seen.append(item)


async def read_all(job: SourceJob) -> list[int]:
    """How many records each batch has; the final one -1."""
    items = [item async for item in job.source.read("p", Start())]
    return [len(item.records) if isinstance(item, Batch) else -1 for item in items]


def failing_job(*plans: str, severed: list[str] | None = None) -> SourceJob:
    """Batches of 3, 3 and 1 records and the final one, with these plans."""
    faults = Faults(parse_plans(",".join(plans), environment="development"))
    faults.sever_coordinator = lambda: (severed if severed is not None else []).append("coordinator")
    return faulty_job(job_of(ScriptedSource({"p": [row(f"k{n}") for n in range(7)]})), faults)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize(("kind", "words"), [("error", "cannot be read"), ("timeout", "no answer in time")])
async def test_source_fails_before_the_batch_is_read(batch: int, kind: str, words: str) -> None:
    job = failing_job(f"fetch:{kind}:{batch}")
    seen: list[object] = []
    with pytest.raises(SourceError, match=rf"p: {words} \(injected fault fetch:{kind}:{batch}\)"):
        await read_into(seen, job)
    assert len(seen) == batch - 1
    assert await read_all(job) == [3, 3, 1, -1]


async def test_reading_ends_at_the_final_batch() -> None:
    assert await read_all(failing_job("fetch:error:5")) == [3, 3, 1, -1]


async def test_reading_and_transforming_lose_the_coordinator(did: list[str]) -> None:
    job = failing_job("fetch:disconnect:2", "transform:disconnect:1", "fetch:kill:3", severed=did)
    assert await read_all(job) == [3, 3, 1, -1]
    assert did == ["coordinator", "SIGKILL"]
    await asyncio.to_thread(job.transformer.transform, [], 1)
    assert did == ["coordinator", "SIGKILL", "coordinator"]


@pytest.mark.parametrize(("kind", "raised"), [("error", RuntimeError), ("timeout", TimeoutError)])
async def test_transformer_fails_as_nobody_expects(kind: str, raised: type[Exception]) -> None:
    job = failing_job(f"transform:{kind}:2")
    records = [SourceRecord(row("a"), "p:1")]
    assert job.transformer.transform(records, 1).fetched == 1
    with pytest.raises(raised, match="injected fault"):
        job.transformer.transform(records, 2)
    assert job.transformer.transform(records, 2).fetched == 1


async def test_source_that_reads_documents_still_does() -> None:
    class Documents(ScriptedSource):
        def reading_ahead(self, starts: Mapping[str, Start]) -> AbstractAsyncContextManager[None]:
            return nullcontext(self.starts.extend(starts.values()))

    source = Documents({"p": []})
    job = faulty_job(job_of(source), Faults([FaultPlan("fetch", "error", 9)]))
    assert isinstance(job.source, ReadsDocuments)
    async with job.source.reading_ahead({"p": Start()}):
        assert source.starts == [Start()]
    assert not isinstance(failing_job("fetch:error:9").source, ReadsDocuments)
    assert (job.source.name, job.source.type, await job.source.partitions()) == ("scripted", "csv", ["p"])
    assert job.source.normalize(row("a"))["record_key"] == "a"
