"""Injected faults, so that tests can kill a run at an exact place: a wrapper around a lane's store.

A plan is `point:kind:n` or `point:kind:n@lane`: at the n-th batch of a lane. Points: `load` (before the first write),
`checkpoint` (after the data), `commit` (just before it), `committed` (just after). Kind: `kill` (SIGKILL to this
process). Plans come from `--inject` or `KASPARRO_INJECT` and are refused in production.
"""

import os
import re
import signal
from dataclasses import dataclass

from kasparro.core.errors import UsageError
from kasparro.ingestion.store import LaneStore, Written
from kasparro.schemas.batches import LaneBatch, LaneState

POINTS = ("load", "checkpoint", "commit", "committed")
KINDS = ("kill",)
_PLAN = re.compile(r"(?P<point>[a-z]+):(?P<kind>[a-z]+):(?P<batch>[1-9][0-9]*)(?:@(?P<lane>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What happens where, at which batch of which lane (counted from 1, in this process)."""

    point: str
    kind: str
    batch: int
    lane: int = 0


def parse_plan(text: str, *, environment: str) -> FaultPlan:
    """The plan that `text` describes. Raises UsageError, also for any plan in production."""
    if environment == "production":
        raise UsageError("fault injection is refused in production (KASPARRO_ENVIRONMENT=production)")
    match = _PLAN.fullmatch(text)
    if match is None or match["point"] not in POINTS or match["kind"] not in KINDS:
        raise UsageError(
            f"fault plan {text!r}: expected POINT:KIND:N[@LANE] with POINT one of {', '.join(POINTS)} "
            f"and KIND one of {', '.join(KINDS)}",
            hint="for example commit:kill:3",
        )
    return FaultPlan(match["point"], match["kind"], int(match["batch"]), int(match["lane"] or 0))


class FaultyStore:
    """A LaneStore that carries out a plan on its way to the store it wraps."""

    def __init__(self, store: LaneStore, plan: FaultPlan) -> None:
        self._store = store
        self._plan = plan
        self._batch = 0

    @property
    def state(self) -> LaneState:
        return self._store.state

    def begin(self, partition: str, state: LaneState) -> None:
        self._store.begin(partition, state)

    async def write_data(self, batch: LaneBatch) -> Written:
        self._batch += 1
        self._at("load")
        return await self._store.write_data(batch)

    async def write_checkpoint(self, batch: LaneBatch, written: Written) -> None:
        self._at("checkpoint")
        await self._store.write_checkpoint(batch, written)

    async def commit(self) -> None:
        self._at("commit")
        await self._store.commit()
        self._at("committed")

    async def rollback(self) -> None:
        await self._store.rollback()

    def _at(self, point: str) -> None:
        plan = self._plan
        if (point, self._batch, self.state.lane) == (plan.point, plan.batch, plan.lane):
            os.kill(os.getpid(), signal.SIGKILL)
