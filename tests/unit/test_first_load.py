"""Reducing a first load's batch by key gives what counting one record at a time would."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.source import SourceRecord
from kasparro.services.first_load import FirstLoad, prepare, reduce_by_key
from tests.scripted import ScriptedSource, job_of, row

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"1", b"2", b"3"])), max_size=12)


@given(ROWS)
def test_reduction_is_that_of_one_record_at_a_time(rows: list[tuple[str, bytes]]) -> None:
    raw: list[tuple[int, int | None]] = []
    current: dict[str, tuple[bytes, int]] = {}
    last: dict[str, int] = {}
    for index, (key, content) in enumerate(rows):
        known = current.get(key)
        if known is None or known[0] != content:
            raw.append((index, None if known is None else known[1]))
            current[key] = (content, len(raw) - 1)
        last[key] = index

    reduction = reduce_by_key([key for key, _ in rows], [content for _, content in rows])
    assert list(zip(reduction.raw_indices, reduction.previous, strict=True)) == raw
    unified = dict(zip(reduction.unified_indices, reduction.current, strict=True))
    assert unified == {last[key]: position for key, (_, position) in current.items()}
    assert list(unified) == sorted(unified)
    assert reduction.duplicates == len(rows) - len(current)


def test_key_that_goes_there_and_back_has_three_raw_rows() -> None:
    reduction = reduce_by_key(["k", "k", "x", "k", "k"], [b"1", b"2", b"9", b"1", b"1"])
    assert (reduction.raw_indices, reduction.previous) == ([0, 1, 2, 3], [None, 0, None, 1])
    assert (reduction.unified_indices, reduction.current, reduction.duplicates) == ([2, 4], [2, 3], 3)


def test_tally_is_what_the_join_would_have_counted() -> None:
    tally = reduce_by_key(["k", "k", "x", "k"], [b"1", b"2", b"9", b"2"]).tally([11, 12, 13, 14])
    assert (tally.inserted, tally.duplicate, tally.duplicate_payload, tally.new_records) == (2, 2, 1, 2)
    assert (tally.updated, tally.unchanged, tally.rejected_new, tally.seen) == (0, 0, 0, [])
    assert (tally.touched_ordinals, tally.known_hashes, tally.raw_rows) == ([13, 14], [None, None], 3)


def prepared(*payloads: dict[str, object]) -> FirstLoad | None:
    records = [SourceRecord(payload, f"p:{place}") for place, payload in enumerate(payloads, 1)]
    transformed = job_of(ScriptedSource({})).transformer.transform(records, 1)
    [share] = split(ReaderBatch(0, len(records), {}, 0), transformed, [0])
    return prepare(encode_share(share, "p", datetime(2026, 1, 1, tzinfo=UTC)))


def values(*numbers: str) -> list[Decimal | None] | None:
    first = prepared(*[row(f"k{place}", value=Decimal(number)) for place, number in enumerate(numbers)])
    return None if first is None else first.unified.column("value").to_pylist()


def test_batches_with_rejects_or_without_rows_take_the_join() -> None:
    assert prepared(row("k1"), row("k2", bad=True)) is None
    assert prepared(row("k1", skip=True)) is None
    assert prepared(row("k1")) is not None


@pytest.mark.parametrize(
    "numbers",
    [("1.50", "-2", "0"), ("1E+37",), ("9" * 38,), ("0." + "0" * 36 + "1",), ("0.00", "1E+3"), ("-" + "9" * 38,)],
)
def test_decimals_stay_exact(numbers: tuple[str, ...]) -> None:
    assert values(*numbers) == [Decimal(number) for number in numbers]


@pytest.mark.parametrize("numbers", [("1E+38",), ("9" * 39,), ("1e-39",), ("1e30", "1e-9"), ("1e-38", "1")])
def test_numbers_beyond_decimal128_take_the_join(numbers: tuple[str, ...]) -> None:
    assert values(*numbers) is None
