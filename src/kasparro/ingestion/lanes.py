"""Splitting a transformed batch into lanes: writers own keys, so every key keeps source order whatever their number."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.core.canonical import lane_of
from kasparro.ingestion.source import Json
from kasparro.ingestion.transform import Accepted, Filtered, Rejected, TransformedBatch
from kasparro.schemas.batches import Tombstone

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


@dataclass(slots=True)
class LaneShare:
    """A lane's records of one reader batch, and the position that the batch leaves the lane at."""

    lane: int
    ordinal: int
    cursor: Json
    fetched: int = 0
    size_bytes: int = 0
    columns: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    filtered: list[Filtered] = field(default_factory=list[Filtered])
    tombstones: list[Tombstone] = field(default_factory=list[Tombstone])

    def take(self, record: Accepted | Rejected | Filtered | Tombstone) -> None:
        """Add a record of this lane, in the order of ordinals."""
        self.fetched += 1
        if isinstance(record, Accepted):
            self.accepted.append(record)
        elif isinstance(record, Rejected):
            self.rejected.append(record)
        elif isinstance(record, Tombstone):
            self.tombstones.append(record)
        else:
            self.filtered.append(record)

    def take_rows(self, rows: pa.RecordBatch) -> None:
        """Add accepted records of this lane, as columns."""
        if rows.num_rows:
            self.fetched += rows.num_rows
            self.columns.append(rows)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit but the position."""
        taken = (self.columns, self.accepted, self.rejected, self.filtered, self.tombstones)
        return self.fetched == 0 and not any(taken)


@dataclass(frozen=True, slots=True)
class ReaderBatch:
    """What the reader handed over: `count` records after ordinal `before`."""

    before: int
    count: int
    cursor: Json
    size_bytes: int

    @property
    def ordinal(self) -> int:
        """The ordinal of its last record."""
        return self.before + self.count


def split(batch: ReaderBatch, transformed: TransformedBatch, behind: Sequence[int]) -> list[LaneShare]:
    """Shares by lane; lane n gets only records beyond its ordinal `behind[n]`, and none if it is ahead of the batch.

    `fetched` comes from the reader's count: a record that transform lost is missing from the other side of the
    equation.
    """
    shares = [LaneShare(lane, batch.ordinal, batch.cursor) for lane in range(len(behind))]
    assigned = sum(rows.num_rows for rows in transformed.columns)
    for rows in transformed.columns:
        for share, part in zip(shares, _by_lane(rows, len(shares)), strict=True):
            share.take_rows(_beyond(part, behind[share.lane]))
    others = (transformed.accepted, transformed.rejected, transformed.filtered, transformed.tombstones)
    for record in chain.from_iterable(others):
        share = shares[lane_of(_identity(record), len(shares))]
        assigned += 1
        if record.ordinal > behind[share.lane]:
            share.take(record)
    due = [share for share, done in zip(shares, behind, strict=True) if done <= batch.ordinal]
    if due:
        due[0].fetched += batch.count - assigned
    for share in due:
        share.size_bytes = batch.size_bytes * share.fetched // max(1, batch.count)
    return due


def _by_lane(rows: pa.RecordBatch, lanes: int) -> list[pa.RecordBatch]:
    """The rows of each lane, in their order."""
    if lanes == 1:
        return [rows]
    keys = cast("list[bytes]", rows.column("record_key").cast(pa.binary()).to_pylist())
    numbers = pa.array([lane_of(key, lanes) for key in keys], pa.int8())
    return [rows.filter(pc.equal(numbers, lane)) for lane in range(lanes)]


def _beyond(rows: pa.RecordBatch, ordinal: int) -> pa.RecordBatch:
    """The rows behind an ordinal; rows are in the order of ordinals."""
    if rows.num_rows == 0 or rows.column("ordinal")[0].as_py() > ordinal:
        return rows
    return rows.filter(pc.greater(rows.column("ordinal"), ordinal))


def _identity(record: Accepted | Rejected | Filtered | Tombstone) -> bytes:
    if record.record_key is not None:
        return record.record_key.encode("utf-8", "surrogatepass")
    return record.content_hash if isinstance(record, Rejected) else b""
