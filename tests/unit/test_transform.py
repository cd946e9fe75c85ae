"""Every record of a batch is accepted, rejected with every reason, or filtered; texts and hashes are canonical."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.canonical import content_hash, payload_json, record_hash
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.source import Defect, Payload, SourceRecord
from kasparro.ingestion.systemic import systemic_error
from kasparro.ingestion.transform import Rejected, TransformedBatch
from kasparro.schemas.batches import STAGE_SCHEMA
from kasparro.schemas.configuration import RejectLimit, parse_configuration

MAPPING = "{title: t, value: v, attributes: {x: x}}"
ALL = "{title: t, value: v, attributes: '*'}"


def transformed(*payloads: Payload | SourceRecord, rest: str = "key: id", mapping: str = MAPPING) -> TransformedBatch:
    text = f"sources: [{{name: a, type: csv, path: a.csv, map: {mapping}, {rest}}}]"
    records = [
        payload if isinstance(payload, SourceRecord) else SourceRecord(payload, f"a.csv:{line}")
        for line, payload in enumerate(payloads, 2)
    ]
    transformer = build_transformer(parse_configuration(text, {}).sources[0])
    one_by_one, by_columns = transformer.judge(records, 11), transformer.transform(records, 11)
    assert written(by_columns) == written(one_by_one)
    return one_by_one


def written(batch: TransformedBatch) -> list[Any]:
    """What the store gets of a batch, for three lanes."""
    shares = split(ReaderBatch(10, batch.fetched, {}, 1), batch, [0, 0, 0])
    encoded = [encode_share(share, "a.csv", datetime(2026, 1, 1, tzinfo=UTC)) for share in shares]
    rows = [lane.rows.to_pylist() for lane in encoded]
    assert all(lane.rows.schema == STAGE_SCHEMA for lane in encoded)
    return [rows, [replace(lane, rows=STAGE_SCHEMA.empty_table()) for lane in encoded]]


def row(key: str = "1", t: str = "T", v: str = "1.50", x: str = "X") -> dict[str, str]:
    return {"id": key, "t": t, "v": v, "x": x}


def codes(rejected: Rejected) -> list[tuple[str, str | None]]:
    return [(defect.code, defect.field) for defect in rejected.defects]


def test_an_accepted_record_has_all_that_the_store_writes() -> None:
    batch = transformed(row())
    [accepted] = batch.accepted
    assert (batch.fetched, batch.rejected, batch.filtered) == (1, [], [])
    assert (accepted.ordinal, accepted.record_key, accepted.locator) == (11, "1", "a.csv:2")
    assert accepted.payload_json == '{"id":"1","t":"T","v":"1.50","x":"X"}'
    assert accepted.attributes_json == '{"x":"X"}'
    assert accepted.content_hash.hex() == "951a8b5eae62e66b4f403a8852083c55"
    assert accepted.record_hash.hex() == "93fbfa75a541365d96acdbbf7c4f33cd"
    assert str(accepted.record.value) == "1.50"


def test_the_same_number_written_differently_is_the_same_record_of_another_payload() -> None:
    [one], [other] = transformed(row(v="1.5")).accepted, transformed(row(v=" 1.500")).accepted
    assert one.record_hash == other.record_hash
    assert one.content_hash != other.content_hash


def test_a_record_that_the_reader_found_wrong_is_rejected_with_its_key_where_that_can_be_told() -> None:
    ragged = Defect("ragged_row", "a.csv:2: 3 cells, but there are 4 columns")
    known = SourceRecord(row(), "a.csv:2", (ragged,))
    unknown = SourceRecord({"_cells": ["1", "T"]}, "a.csv:3", (ragged,))
    batch = transformed(known, unknown)
    assert [(rejected.record_key, rejected.defects) for rejected in batch.rejected] == [
        ("1", (ragged,)),
        (None, (ragged,)),
    ]
    assert batch.accepted == []


def test_one_bad_record_leaves_its_neighbours_alone() -> None:
    batch = transformed(row("1"), row("2", v="1,5"), row("3"))
    assert [accepted.ordinal for accepted in batch.accepted] == [11, 13]
    [rejected] = batch.rejected
    assert (rejected.ordinal, rejected.record_key, rejected.locator) == (12, "2", "a.csv:3")
    assert rejected.defects == (Defect("invalid_decimal", '"1,5" is not a decimal number', "value"),)
    assert rejected.payload_json == '{"id":"2","t":"T","v":"1,5","x":"X"}'


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_jsonb_cannot_hold_is_kept_as_bytes(text: str) -> None:
    [rejected] = transformed(row(t=text)).rejected
    assert codes(rejected) == [("unstorable", None)]
    assert rejected.record_key == "1"
    assert list(json.loads(rejected.payload_json)) == ["_unstorable"]
    assert transformed(row(key=text)).rejected[0].record_key is None


def test_a_model_error_becomes_a_defect_with_a_house_code() -> None:
    mapping = "{entity_key: t, value: v}"
    [long] = transformed(row(t="é" * 600), mapping=mapping).rejected
    assert codes(long) == [("too_long", "entity_key")]
    assert long.defects[0].message == f'"{"é" * 97}..." is longer than 1024 bytes'
    [empty] = transformed(row(t=""), mapping=mapping, rest="key: id, null_values: [NA]").rejected
    assert empty.defects == (Defect("invalid_text", '"" must not be empty', "entity_key"),)
    [two] = transformed(row(key="k" * 2000, v="1e140000"), mapping=mapping).rejected
    assert codes(two) == [("too_long", "record_key"), ("invalid_decimal", "value")]
    assert two.record_key is None


def test_attributes_that_jsonb_cannot_hold_reject_the_record() -> None:
    mapping = "{attributes: {x: {expr: to_number(x)}}}"
    [rejected] = transformed(row(x="1e140000"), mapping=mapping).rejected
    assert codes(rejected) == [("unstorable", "attributes")]


def test_where_filters_before_anything_is_normalized() -> None:
    rest = "key: id, where: \"x == 'X'\""
    batch = transformed(row("1"), row("2", x="Y", v="bad"), row("", x="Y"), rest=rest)
    assert [accepted.record_key for accepted in batch.accepted] == ["1"]
    assert [(filtered.ordinal, filtered.record_key) for filtered in batch.filtered] == [(12, "2"), (13, None)]


@pytest.mark.parametrize(
    ("result", "kept"),
    [("''", False), ("`[]`", False), ("`{}`", False), ("`false`", False), ("none", False), ("`0`", True), ("t", True)],
)
def test_where_keeps_what_is_true_in_jmespath(result: str, *, kept: bool) -> None:
    assert bool(transformed(row(), rest=f'key: id, where: "{result}"').accepted) == kept


def test_a_where_that_fails_rejects_the_record() -> None:
    [rejected] = transformed(row(), rest='key: id, where: "abs(t) == `1`"').rejected
    assert codes(rejected) == [("expression_failed", "where")]


def test_ignored_columns_do_not_count_for_the_content() -> None:
    rest = "key: id, ignore: [x]"
    one, other = transformed(row(x="1"), row(x="2"), rest=rest).accepted
    assert one.content_hash == other.content_hash
    assert one.payload_json != other.payload_json
    assert one.content_hash == content_hash({"id": "1", "t": "T", "v": "1.50"})


def test_without_a_key_equal_rows_are_one_record() -> None:
    one, other, third = transformed(row(), row(), row(x="Y"), rest="skip_rows: 0").accepted
    assert one.record_key == other.record_key == one.content_hash.hex()
    assert third.record_key != one.record_key


_CELLS = st.one_of(st.none(), st.text(), st.sampled_from(["a\x00", "\ud800", "%s", "\\u0000", "1.50", "é"]))


@given(st.lists(st.dictionaries(st.one_of(st.sampled_from(["id", "t", "v", "x", "%", "\ud800"]), st.text()), _CELLS)))
def test_every_record_is_in_exactly_one_list(payloads: list[Payload]) -> None:
    batch = transformed(*payloads, rest="key: id, where: \"t != 'é'\"", mapping=ALL)
    outcomes = [*batch.accepted, *batch.rejected, *batch.filtered]
    assert batch.fetched == len(payloads)
    assert sorted(outcome.ordinal for outcome in outcomes) == list(range(11, 11 + len(payloads)))
    for accepted in batch.accepted:
        payload = payloads[accepted.ordinal - 11]
        assert accepted.payload_json == payload_json(payload)
        assert accepted.content_hash == content_hash(payload)
        assert accepted.record_hash == record_hash(accepted.record.model_dump())


def test_a_batch_of_mostly_rejected_records_is_systemic() -> None:
    bad = [row(str(n), v="x" if n % 3 else "y", x="X") for n in range(15)]
    batch = transformed(*bad, *[row(str(n), v="1", t="") for n in range(15, 25)], row("", v="2"))
    error = systemic_error("a", batch, RejectLimit(share=0.5, min_records=20))
    assert error is not None
    assert str(error) == (
        "source a: 16 of 26 records of a batch were rejected (reject_limit: 0.5): 15 x value: invalid_decimal (such as "
        'a.csv:2: "y" is not a decimal number); 1 x id: key_missing (such as a.csv:27: column "id", which is part of '
        "the key, has no value)"
    )
    assert error.exit_code == 7


@pytest.mark.parametrize(
    ("limit", "systemic"),
    [
        (RejectLimit(share=0.5, min_records=4), False),
        (RejectLimit(share=0.49, min_records=4), True),
        (RejectLimit(share=0.49, min_records=5), False),
        (RejectLimit(share=0, min_records=1), True),
        (RejectLimit(share=1, min_records=1), False),
    ],
)
def test_the_share_must_be_exceeded_in_a_batch_that_is_large_enough(limit: RejectLimit, *, systemic: bool) -> None:
    batch = transformed(row("1"), row("2"), row("3", v="x"), row("4", v="x"))
    assert (systemic_error("a", batch, limit) is not None) == systemic


def test_exempt_codes_do_not_count_towards_systemic() -> None:
    batch = transformed(row("1", v="x"), row("2", v="x"), row("", v="1"))
    limit = RejectLimit(share=0.5, min_records=1)
    assert systemic_error("a", batch, limit) is not None
    assert systemic_error("a", batch, limit, exempt={"invalid_decimal"}) is None


def test_what_no_encoder_takes_is_rejected_alone() -> None:
    """Nesting deeper than the interpreter's stack; an integer of more digits than Python prints, beside a NUL."""
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    batch = transformed(row("1"), {**row("2"), "x": deep}, {**row("3"), "x": 10**5_000, "y": "\x00"}, row("4"))
    assert [accepted.record_key for accepted in batch.accepted] == ["1", "4"]
    assert [(rejected.record_key, rejected.defects[0].message) for rejected in batch.rejected] == [
        ("2", "the payload cannot be stored: nesting too deep"),
        ("3", "the payload cannot be stored: NUL character"),
    ]
    assert all(json.loads(rejected.payload_json).keys() == {"_unstorable"} for rejected in batch.rejected)


def test_tombstone_is_told_before_where_and_mapping() -> None:
    rest = "key: id, deletes: {tombstone: \"t == 'gone'\"}, where: \"x == 'X'\""
    batch = transformed(
        row("1"), row("2", t="gone", v="no number", x="other"), row("", t="gone"), row("3", x="other"),
        SourceRecord(row("4", t="gone"), "a.csv:6", (Defect("ragged", "too short"),)), rest=rest,
    )  # fmt: skip
    assert [(each.ordinal, each.record_key, each.locator) for each in batch.tombstones] == [(12, "2", "a.csv:3")]
    assert json.loads(batch.tombstones[0].payload_json) == row("2", t="gone", v="no number", x="other")
    assert [(each.ordinal, each.record_key, each.defects[0].code) for each in batch.rejected] == [
        (13, None, "key_missing"), (15, "4", "ragged"),
    ]  # fmt: skip
    assert [each.ordinal for each in batch.filtered] == [14]
    assert [each.ordinal for each in batch.accepted] == [11]


def test_marker_that_cannot_be_asked_rejects_the_record() -> None:
    batch = transformed(row(v="x"), rest='key: id, deletes: {tombstone: "decimal(v) > `1`"}')
    assert [(each.defects[0].code, each.defects[0].field) for each in batch.rejected] == [
        ("expression_failed", "deletes.tombstone")
    ]
