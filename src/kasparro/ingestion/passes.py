"""What is left to read of a source: a fresh pass over all partitions, or the rest of an open one. Pure decisions."""

import json
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from kasparro.schemas.batches import LaneState
from kasparro.services.checkpoints import PARTITION_LANE, Checkpoint


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One partition to read: from `cursor` (position after record `ordinal`), or by `settled` if it is None."""

    name: str
    settled: dict[str, Any] | None
    cursor: dict[str, Any] | None
    ordinal: int
    lanes: list[LaneState]


@dataclass(frozen=True, slots=True)
class OpenPass:
    """A pass that some partition has not finished."""

    pass_id: int
    run_id: int
    partitions: list[PartitionPlan]
    """The open ones."""
    names: frozenset[str]
    """All partitions of the pass."""
    lane_rows: int
    full_refresh: bool = False

    def as_planned(self, plan: str | None) -> "OpenPass":
        """The same pass under what the run that began it was asked for."""
        if plan is None or not json.loads(plan).get("full_refresh"):
            return self
        partitions = [replace(partition, settled=None) for partition in self.partitions]
        return replace(self, partitions=partitions, full_refresh=True)


def fresh(rows: list[Checkpoint], partitions: list[str], *, lanes: int, full_refresh: bool) -> list[PartitionPlan]:
    """A new pass: every partition from what its last complete pass left behind, or from nothing."""
    settled = {} if full_refresh else {row.partition: row.cursor for row in rows if row.lane == PARTITION_LANE}
    states = [LaneState(lane, 0, 0) for lane in range(lanes)]
    return [PartitionPlan(name, settled.get(name), None, 0, states) for name in partitions]


def find_open(rows: list[Checkpoint]) -> OpenPass | None:
    """The pass of the lane rows, if a partition of it lacks its final batch. Lanes count as taken over: `seq` + 1."""
    lanes = [row for row in rows if row.lane != PARTITION_LANE]
    if not lanes:
        return None
    pass_id = max(row.pass_id for row in lanes)
    settled = {row.partition: row for row in rows if row.lane == PARTITION_LANE}
    partitions = [
        _rest(list(group), settled.get(name))
        for name, group in groupby(lanes, key=attrgetter("partition"))
        if (own := settled.get(name)) is None or own.pass_id != pass_id
    ]
    if not partitions:
        return None
    names = frozenset(row.partition for row in lanes)
    return OpenPass(pass_id, max(row.run_id for row in lanes), partitions, names, len(lanes))


def _rest(lanes: list[Checkpoint], settled: Checkpoint | None) -> PartitionPlan:
    """From the lane that is furthest behind; the others skip what they have."""
    last = min(lanes, key=attrgetter("ordinal"))
    states = [LaneState(row.lane, row.seq + 1, row.ordinal) for row in lanes]
    return PartitionPlan(lanes[0].partition, settled.cursor if settled else None, last.cursor, last.ordinal, states)
