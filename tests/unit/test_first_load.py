"""Reducing a first load's batch by key gives what counting one record at a time would."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.source import SourceRecord
from kasparro.services.first_load import FirstLoad, prepare, reduce_by_key, verdict
from kasparro.services.verdict import NO_UNIFIED_ROWS, RawRows, Tally, UnifiedRows
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
    assert list(zip(reduction.raw_positions, reduction.previous, strict=True)) == raw
    unified = dict(zip(reduction.unified_positions, reduction.current, strict=True))
    assert unified == {last[key]: position for key, (_, position) in current.items()}
    assert list(unified) == sorted(unified)


def test_key_that_goes_there_and_back_has_three_raw_rows() -> None:
    reduction = reduce_by_key(["k", "k", "x", "k", "k"], [b"1", b"2", b"9", b"1", b"1"])
    assert (reduction.raw_positions, reduction.previous) == ([0, 1, 2, 3], [None, 0, None, 1])
    assert (reduction.unified_positions, reduction.current) == ([2, 4], [2, 3])


def test_verdict_is_what_the_database_would_have_said() -> None:
    reduction = reduce_by_key(["k", "k", "x", "k"], [b"1", b"2", b"9", b"2"])
    found = verdict(FirstLoad(4, reduction), [11, 12, 13], [21, 22])
    assert found.tally == Tally(inserted=2, duplicate=2, duplicate_payload=1)
    assert found.raw == RawRows([0, 1, 2], [11, 12, 13], [None, 11, None])
    assert found.new == UnifiedRows([2, 3], [21, 22], [13, 12])
    assert (found.seen, found.changed, found.known_hashes) == ([], NO_UNIFIED_ROWS, [])


def test_keys_that_do_not_repeat_need_no_reduction() -> None:
    assert prepared(row("k1"), row("k2")) == FirstLoad(2, None)
    assert verdict(FirstLoad(2, None), [1, 2], [3, 4]).new == UnifiedRows(None, [3, 4], [1, 2])
    repeated = prepared(row("k1"), row("k1", "t2"))
    assert repeated is not None
    assert (repeated.records, repeated.raw_rows) == (1, 2)


def prepared(*payloads: dict[str, object]) -> FirstLoad | None:
    records = [SourceRecord(payload, f"p:{place}") for place, payload in enumerate(payloads, 1)]
    transformed = job_of(ScriptedSource({})).transformer.transform(records, 1)
    [share] = split(ReaderBatch(0, len(records), {}, 0), transformed, [0])
    return prepare(encode_share(share, "p", datetime(2026, 1, 1, tzinfo=UTC)))


def test_batches_with_rejects_or_without_rows_are_judged_by_the_database() -> None:
    assert prepared(row("k1"), row("k2", bad=True)) is None
    assert prepared(row("k1", skip=True)) is None
    assert prepared(row("k1")) is not None
