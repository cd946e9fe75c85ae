"""Plans of injected faults: what may be written, and where they strike."""

import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from kasparro.core.errors import UsageError
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.faults import FaultPlan, FaultyStore, parse_plan
from kasparro.ingestion.lanes import LaneShare
from kasparro.ingestion.store import Written
from kasparro.schemas.batches import LaneBatch, LaneState
from kasparro.schemas.counters import Counters

BATCH = encode_share(LaneShare(0, 1, {}), "p", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("commit:kill:3", FaultPlan("commit", "kill", 3, 0)),
        ("committed:kill:1", FaultPlan("committed", "kill", 1, 0)),
        ("load:kill:10@2", FaultPlan("load", "kill", 10, 2)),
        ("checkpoint:kill:1@0", FaultPlan("checkpoint", "kill", 1, 0)),
    ],
)
def test_plan_is_read(text: str, plan: FaultPlan) -> None:
    assert parse_plan(text, environment="development") == plan


@pytest.mark.parametrize(
    "text",
    [
        "", "commit", "commit:kill", "commit:kill:0", "commit:kill:-1", "commit:kill:1@", "comit:kill:1",
        "commit:slow:1", "commit:kill:1 ", "commit:kill:1@x", "COMMIT:kill:1", "commit:kill:1\n",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_possible(text: str) -> None:
    with pytest.raises(UsageError, match="one of load, checkpoint, commit, committed") as caught:
        parse_plan(text, environment="development")
    assert caught.value.hint == "for example commit:kill:3"


def test_production_refuses_every_plan() -> None:
    with pytest.raises(UsageError, match="refused in production"):
        parse_plan("commit:kill:1", environment="production")


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


async def write_two(store: FaultyStore) -> None:
    for _ in range(2):
        await store.write_checkpoint(BATCH, await store.write_data(BATCH))
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


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("load", ["data", "checkpoint", "commit", "SIGKILL", "data", "checkpoint", "commit"]),
        ("checkpoint", ["data", "checkpoint", "commit", "data", "SIGKILL", "checkpoint", "commit"]),
        ("commit", ["data", "checkpoint", "commit", "data", "checkpoint", "SIGKILL", "commit"]),
        ("committed", ["data", "checkpoint", "commit", "data", "checkpoint", "commit", "SIGKILL"]),
    ],
)
async def test_plan_strikes_once_at_its_point_of_its_batch(did: list[str], point: str, expected: list[str]) -> None:
    await write_two(FaultyStore(RecordingStore(did, 0), FaultPlan(point, "kill", 2)))
    assert did == expected


async def test_plan_for_another_lane_does_not_strike(did: list[str]) -> None:
    await write_two(FaultyStore(RecordingStore(did, 0), FaultPlan("commit", "kill", 1, lane=1)))
    assert "SIGKILL" not in did
    await write_two(FaultyStore(RecordingStore(did, 1), FaultPlan("commit", "kill", 1, lane=1)))
    assert "SIGKILL" in did


async def test_everything_else_reaches_the_wrapped_store(did: list[str]) -> None:
    store = FaultyStore(RecordingStore(did, 0), FaultPlan("commit", "kill", 9))
    store.begin("p", LaneState(0, 5, 50))
    await store.rollback()
    assert store.state == LaneState(0, 5, 50)
    assert did == ["begin p", "rollback"]
