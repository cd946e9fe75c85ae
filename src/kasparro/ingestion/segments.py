"""Cutting a lane batch where a key has both tombstones and other records, so that each part has either of any key.

The parts are written one after another in the batch's transaction: the outcome is that of records that came one at a
time. Keys are independent of each other, so there are no more parts than times that one key changes its mind.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from kasparro.schemas.batches import LaneBatch


def segments(batch: LaneBatch) -> list[LaneBatch]:
    """The parts in their order, without reasons; mostly there is one."""
    keys = batch.keys() if batch.tombstones else []
    shared = {tombstone.record_key for tombstone in batch.tombstones}.intersection(keys)
    if not shared:
        return [replace(batch, reasons=())]
    row_turns, tombstone_turns = _turns(batch, keys, shared)
    return [_part(batch, row_turns, tombstone_turns, turn) for turn in range(1 + max(*row_turns, *tombstone_turns))]


def _turns(batch: LaneBatch, keys: list[str], shared: set[str]) -> tuple[list[int], list[int]]:
    """Of each row and of each tombstone, how often its key has changed between the two before it."""
    row_turns, tombstone_turns = [0] * len(keys), [0] * len(batch.tombstones)
    events = [
        (ordinal, key, False, place)
        for place, (ordinal, key) in enumerate(zip(batch.ordinals(), keys, strict=True))
        if key in shared
    ]
    events += [(each.ordinal, each.record_key, True, place) for place, each in enumerate(batch.tombstones)]
    last: dict[str, tuple[bool, int]] = {}
    for _, key, is_tombstone, place in sorted(events):
        kind, turn = last.get(key, (is_tombstone, 0))
        turn += kind != is_tombstone
        last[key] = (is_tombstone, turn)
        (tombstone_turns if is_tombstone else row_turns)[place] = turn
    return row_turns, tombstone_turns


def _part(batch: LaneBatch, row_turns: Sequence[int], tombstone_turns: Sequence[int], turn: int) -> LaneBatch:
    return replace(
        batch,
        rows=batch.rows.filter(pa.array([each == turn for each in row_turns], pa.bool_())),
        tombstones=[each for each, own in zip(batch.tombstones, tombstone_turns, strict=True) if own == turn],
        reasons=(),
    )
