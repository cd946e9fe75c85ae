"""Splitting a transformed batch into lanes: writers own keys, so every key keeps source order whatever their number."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kasparro.core.canonical import lane_of
from kasparro.ingestion.source import Json
from kasparro.ingestion.transform import Accepted, Filtered, Rejected, TransformedBatch


@dataclass(slots=True)
class LaneShare:
    """A lane's records of one reader batch, and the position that the batch leaves the lane at."""

    lane: int
    ordinal: int
    cursor: Json
    fetched: int = 0
    size_bytes: int = 0
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    filtered: list[Filtered] = field(default_factory=list[Filtered])

    def take(self, record: Accepted | Rejected | Filtered) -> None:
        """Add a record of this lane, in the order of ordinals."""
        self.fetched += 1
        if isinstance(record, Accepted):
            self.accepted.append(record)
        elif isinstance(record, Rejected):
            self.rejected.append(record)
        else:
            self.filtered.append(record)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit but the position."""
        return self.fetched == 0 and not (self.accepted or self.rejected or self.filtered)


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
    assigned = 0
    for record in (*transformed.accepted, *transformed.rejected, *transformed.filtered):
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


def _identity(record: Accepted | Rejected | Filtered) -> bytes:
    if record.record_key is not None:
        return record.record_key.encode("utf-8", "surrogatepass")
    return record.content_hash if isinstance(record, Rejected) else b""
