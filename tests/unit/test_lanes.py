"""Splitting a batch: writers own keys, every lane moves, nothing that a lane has is handed to it again."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.canonical import lane_of
from kasparro.ingestion.lanes import LaneShare, ReaderBatch, split
from kasparro.ingestion.source import SourceRecord
from kasparro.ingestion.transform import TransformedBatch, Transformer
from tests.scripted import ScriptedSource, job_of, row

KEYS = ("k1", "k2", "k3", "k4", None)


def transformed(payloads: Sequence[dict[str, object]], before: int) -> TransformedBatch:
    records = [SourceRecord(payload, f"p:{before + place}") for place, payload in enumerate(payloads, 1)]
    transformer = job_of(ScriptedSource({})).transformer
    assert isinstance(transformer, Transformer)
    return transformer.judge(records, before + 1)


def shares_of(payloads: Sequence[dict[str, object]], behind: Sequence[int], before: int = 0) -> list[LaneShare]:
    batch = ReaderBatch(before, len(payloads), {"position": before + len(payloads)}, 1000)
    return split(batch, transformed(payloads, before), behind)


def ordinals(share: LaneShare) -> list[int]:
    return sorted(item.ordinal for group in (share.accepted, share.rejected, share.filtered) for item in group)


def test_one_lane_takes_everything() -> None:
    [share] = shares_of([row("k1"), row("k2", bad=True), row("k3", skip=True), row(None)], [10], before=10)
    assert (ordinals(share), share.fetched, share.ordinal) == ([11, 12, 13, 14], 4, 14)
    assert (share.cursor, share.size_bytes, share.is_empty) == ({"position": 14}, 1000, False)
    assert [len(group) for group in (share.accepted, share.rejected, share.filtered)] == [1, 2, 1]


def test_lane_follows_the_key_whatever_becomes_of_the_record() -> None:
    """lane_of puts k1, k2, k5 in lanes 1, 3, 0 of 4."""
    outcomes: list[dict[str, Any]] = [{}, {"bad": True}, {"skip": True}]
    payloads = [row(key, **outcome) for outcome in outcomes for key in ("k1", "k2", "k5")]
    assert [ordinals(share) for share in shares_of(payloads, [0] * 4)] == [[3, 6, 9], [1, 4, 7], [], [2, 5, 8]]


def test_reject_without_a_key_follows_its_content() -> None:
    [one] = [share.lane for share in shares_of([row(None, "x")], [0] * 3) if share.fetched]
    [rejected] = transformed([row(None, "x")], 0).rejected
    assert one == lane_of(rejected.content_hash, 3)


def test_lane_without_records_still_gets_the_position() -> None:
    shares = shares_of([row("k5")], [0] * 4)
    assert [(share.lane, share.ordinal, share.is_empty) for share in shares] == [
        (0, 1, False), (1, 1, True), (2, 1, True), (3, 1, True),
    ]  # fmt: skip
    assert shares[3].cursor == {"position": 1}


def test_lane_that_is_ahead_skips_what_it_has() -> None:
    """Lane 0 (k5) has everything up to ordinal 3, lane 1 (k1) up to 5, lane 2 (k4) nothing; the batch is 1 to 4."""
    shares = shares_of([row("k5"), row("k4"), row("k1"), row("k5", "b")], [3, 5, 0, 4])
    assert {share.lane: ordinals(share) for share in shares} == {0: [4], 2: [2], 3: []}
    assert {share.lane: share.fetched for share in shares} == {0: 1, 2: 1, 3: 0}


def test_lane_that_is_ahead_skips_rows_of_columns_too() -> None:
    rows = pa.record_batch({"ordinal": [11, 12, 13, 14], "record_key": ["k1", "k5", "k1", "k5"]})
    shares = split(ReaderBatch(10, 4, {}, 100), TransformedBatch(4, [rows]), [10, 11, 14, 15])
    found = {share.lane: [part.column("ordinal").to_pylist() for part in share.columns] for share in shares}
    assert found == {0: [[12, 14]], 1: [[13]], 2: []}
    assert [share.fetched for share in shares] == [2, 1, 0]


def test_record_that_transform_lost_is_missing_from_one_side_only() -> None:
    batch = transformed([row("k1"), row("k2")], 0)
    batch.accepted.pop()
    [share] = split(ReaderBatch(0, 2, {}, 0), batch, [0])
    assert (share.fetched, len(share.accepted)) == (2, 1)


def test_record_that_transform_doubled_is_missing_from_one_side_only() -> None:
    batch = transformed([row("k1"), row("k2")], 0)
    batch.accepted.append(batch.accepted[0])
    assert sum(share.fetched for share in split(ReaderBatch(0, 2, {}, 0), batch, [0])) == 2


def test_size_is_shared_out_by_records() -> None:
    shares = shares_of([row("k5"), row("k5"), row("k5"), row("k4")], [0] * 4)
    assert [share.size_bytes for share in shares] == [750, 0, 250, 0]
    assert [share.size_bytes for share in shares_of([], [0, 0])] == [0, 0]


PAYLOADS = st.lists(
    st.builds(
        row, st.sampled_from(KEYS), st.sampled_from("ab"), bad=st.booleans(), skip=st.booleans()
    ),
    max_size=8,
)  # fmt: skip


@given(PAYLOADS, st.integers(0, 5), st.lists(st.integers(0, 15), min_size=1, max_size=5))
def test_every_record_reaches_exactly_one_lane_unless_that_lane_has_it(
    payloads: list[dict[str, object]], before: int, behind: list[int]
) -> None:
    shares = shares_of(payloads, behind, before)
    handed = [ordinal for share in shares for ordinal in ordinals(share)]
    assert len(handed) == len(set(handed))
    assert sum(share.fetched for share in shares) == len(handed)
    end = before + len(payloads)
    assert [share.lane for share in shares] == [lane for lane, done in enumerate(behind) if done <= end]
    for share in shares:
        assert all(behind[share.lane] < ordinal <= end for ordinal in ordinals(share))
    [alone] = shares_of(payloads, [0], before)
    kept = {key: [item.ordinal for item in alone.accepted if item.record_key == key] for key in KEYS}
    for share in shares:
        for key in {item.record_key for item in share.accepted}:
            own = [item.ordinal for item in share.accepted if item.record_key == key]
            assert own == [ordinal for ordinal in kept[key] if ordinal > behind[share.lane]]


@pytest.mark.parametrize("lanes", [2, 3, 7])
def test_keys_spread_over_the_lanes(lanes: int) -> None:
    shares = shares_of([row(f"key {n}") for n in range(700)], [0] * lanes)
    assert min(share.fetched for share in shares) > 700 / lanes / 2
