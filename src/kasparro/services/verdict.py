"""What is to become of a lane batch: the counters, and which of its rows are written where, under which ids.

A source's first load comes to it by itself (`first_load.py`), any other batch by asking the database
(`classification.py`); `loading.py` carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a batch's rows came to what; rejects count where their payload is stored for the first time."""

    inserted: int = 0
    updated: int = 0
    updated_payload: int = 0
    unchanged: int = 0
    duplicate: int = 0
    duplicate_payload: int = 0
    rejected_new: int = 0

    def __add__(self, other: Self) -> "Tally":
        return Tally(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})


@dataclass(frozen=True, slots=True)
class RawRows:
    """Raw rows to be written, in the order of their ids."""

    positions: list[int] | None
    """Which of the batch's rows, counted from 0; None: all of them, in their order."""
    ids: list[int]
    previous: Sequence[int | None]
    """Of each: the raw id before it in its key."""


@dataclass(frozen=True, slots=True)
class UnifiedRows:
    """Unified rows to be written, new ones or changed ones: each key once, from its last row of the batch."""

    positions: list[int] | None
    """As in RawRows."""
    ids: list[int]
    raw_ids: list[int]
    """Of each: the raw row that it points at."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one batch."""

    tally: Tally
    seen: list[int]
    """Ids of unified rows that existed before the batch and that it names."""
    raw: RawRows
    new: UnifiedRows
    changed: UnifiedRows
    known_hashes: list[bytes]
    """The record hashes that the changed rows had; a deleted one had none."""
    lost: Sequence[int] = ()
    """Positions of accepted rows that are older than what stands, and so changed nothing."""


NO_RAW_ROWS = RawRows([], [], [])
NO_UNIFIED_ROWS = UnifiedRows([], [], [])
NOTHING = Verdict(Tally(), [], NO_RAW_ROWS, NO_UNIFIED_ROWS, NO_UNIFIED_ROWS, [])
"""Of a batch without rows."""
