"""From a share to what the store writes: columns, merged rejects, and the COPY stream."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.source import Defect, SourceRecord
from kasparro.schemas.batches import STAGE_SCHEMA, LaneBatch
from kasparro.services.copy_format import encode
from tests.scripted import ScriptedSource, job_of, row

AT = datetime(2026, 1, 2, tzinfo=UTC)
RAGGED = Defect("ragged", "p: 3 cells", "row")


def encoded(*payloads: dict[str, object] | SourceRecord) -> LaneBatch:
    records = [
        payload if isinstance(payload, SourceRecord) else SourceRecord(payload, f"p:{place}")
        for place, payload in enumerate(payloads, 1)
    ]
    transformed = job_of(ScriptedSource({})).transformer.transform(records, 1)
    [share] = split(ReaderBatch(0, len(records), {"position": len(records)}, 500), transformed, [0])
    return encode_share(share, "p", AT)


def reasons(batch: LaneBatch, *names: str) -> Sequence[tuple[object, ...]]:
    return [tuple(getattr(reason, name) for name in names) for reason in batch.reasons]


def test_accepted_record_fills_its_columns() -> None:
    batch = encoded(row("k1", "T", value=Decimal("1.50")))
    [values] = batch.rows.to_pylist()
    assert batch.rows.schema == STAGE_SCHEMA
    assert (values["ordinal"], values["reject"], values["record_key"], values["title"]) == (1, False, "k1", "T")
    assert (values["value"], values["payload"]) == ("1.50", '{"key":"k1","title":"T","value":1.50}')
    assert (values["tags"], values["attributes"], values["occurred_at"], values["locator"]) == (None, None, None, "p:1")
    assert len(values["content_hash"]) == len(values["record_hash"]) == 16


def test_counters_and_position_come_along() -> None:
    batch = encoded(row("k1"), row("k2", bad=True), row("k3", skip=True), row(None, skip=True))
    assert (batch.fetched, batch.rejected, batch.filtered) == (4, 1, 2)
    assert (batch.partition, batch.lane, batch.ordinal, batch.cursor) == ("p", 0, 4, {"position": 4})
    assert (batch.fetched_at, batch.size_bytes, list(batch.filtered_keys)) == (AT, 500, ["k3"])


def test_rejected_payload_has_nothing_but_its_raw_columns() -> None:
    batch = encoded(row("k1", "T", bad=True))
    [values] = batch.rows.to_pylist()
    filled = {name for name, value in values.items() if value is not None}
    assert filled == {"ordinal", "reject", "record_key", "payload", "content_hash", "locator"}
    assert values["reject"] is True


def test_equal_rejects_become_one_row_and_one_reason_with_the_last_place() -> None:
    bad = row("k1", bad=True)
    batch = encoded(bad, row("k2"), bad, bad)
    assert batch.ordinals() == [2, 1]
    assert batch.rejected == 3
    assert reasons(batch, "ordinal", "code", "field", "times", "locator") == [(1, "bad", "bad", 3, "p:4")]


def test_rejects_of_other_payloads_stay_apart() -> None:
    batch = encoded(row("k1", "a", bad=True), row("k1", "b", bad=True))
    assert reasons(batch, "ordinal", "times") == [(1, 1), (2, 1)]
    assert batch.rows.num_rows == 2


def test_each_defect_of_a_record_is_a_reason_and_the_same_one_twice_counts_once() -> None:
    other = Defect("ragged", "p: too long", "other")
    again = Defect("ragged", "p: said twice", "row")
    batch = encoded(SourceRecord(row("k1"), "p:1", (RAGGED, other, again)))
    assert reasons(batch, "code", "field", "times", "message") == [
        ("ragged", "row", 1, "p: said twice"), ("ragged", "other", 1, "p: too long"),
    ]  # fmt: skip
    assert (batch.rejected, batch.rows.num_rows) == (1, 1)


def test_reject_whose_key_loads_later_in_the_batch_says_so() -> None:
    bad = row("k1", bad=True)
    assert reasons(encoded(bad, row("k1")), "loads_later") == [(True,)]
    assert reasons(encoded(row("k1"), bad), "loads_later") == [(False,)]
    assert reasons(encoded(bad, row("k1"), bad), "loads_later") == [(False,)]
    assert reasons(encoded(bad, row("k2")), "loads_later") == [(False,)]


def test_reject_without_a_key_never_loads_later() -> None:
    assert reasons(encoded(row(None), row("k1")), "record_key", "loads_later") == [(None, False)]


def test_share_without_rows_is_empty() -> None:
    assert encoded(row("k1", skip=True)).rows.num_rows == 0


def test_copy_stream_is_postgresqls_binary_format() -> None:
    stream = encode(encoded(row("k1")).rows)
    assert stream.startswith(b"PGCOPY\n\xff\r\n\x00")
    assert stream.endswith(b"\xff\xff")
    assert b'\x01{"key":"k1","title":"a"}' in stream
