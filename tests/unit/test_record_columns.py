"""JSON records judged as columns or one by one: the same rows, rejects and hashes, whatever stands in a record."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.core.canonical import canonical_json, payload_json
from kasparro.ingestion.columns.payloads import encode_payloads
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.source import Defect, Payload, SourceRecord
from kasparro.ingestion.transform import TransformedBatch, Transformer
from kasparro.schemas.batches import STAGE_SCHEMA
from kasparro.schemas.configuration import parse_configuration

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHOLE = """{title: t, body: d.b, author: '"a b"', unit: {value: mi}, value: v, occurred_at: o, entity_key: e,
            tags: [t, l], attributes: {x: x, "a\\"b": d, l: l}}"""
MAPPINGS = [
    f"key: k, ignore: [x, d.b], map: {WHOLE}",
    "key: k, map: {title: t, value: v, occurred_at: o, attributes: '*'}",
    "key: [k, e], timezone: Europe/Berlin, null_values: ['', NA, '0'], map: {occurred_at: o, value: x, tags: l}",
    "key: k, null_values: [NA], map: {occurred_at: o, tags: l}",
    "key: d.b, map: {title: {expr: \"join('-', [t, e])\"}, url: {value: 'a\"b'}, attributes: {n: {expr: 'length(l)'}}}",
    "key: k, where: \"t != 'x'\", map: {title: t, attributes: {}}",
    "key: k, map: {}",
    "key: k, deletes: {tombstone: l}, where: \"t != 'x'\", map: {title: t, value: v}",
    'key: [k, e], deletes: {tombstone: "length(t) == `3`"}, map: {title: t}',
    "key: k, version: o, map: {title: t}",
    "key: k, timezone: Europe/Berlin, null_values: ['', NA, '0'], version: o, map: {value: v}",
    "key: k, version: {field: v, type: number}, map: {title: t}",
    "key: k, version: {field: d.b, type: text}, map: {}",
]
TEXTS = st.sampled_from([
    "", "NA", "0", "x", "A b", "é", "e\u0301", '"', "\\", "\n", "\x00", "\ud800", "\\u0000", "%s", " ", "k" * 300,
    "é" * 600, "\u212b", "\ufb01", "1.50", "2026-01-01T10:00:00Z", "2026-01-01",
])  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([
        Decimal("1.50"), Decimal("-0.0"), Decimal("1E+3"), Decimal("1E-9"), Decimal("NaN"), Decimal("-Infinity"),
        Decimal("1e400000"), Decimal("1e-16383"), 10**70, -(10**64), Decimal("0." + "1" * 80),
    ]),
)  # fmt: skip
TIMES = st.one_of(
    st.sampled_from([
        "2026-01-01", "2026-01-01T10:00:00.123456Z", "0001-01-01T00:00:00Z", "0999-12-31T23:59:59+00:00",
        "2026-03-29T02:30", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999Z", "2026-01-01 10:00:00+02:00",
        "2026-02-30", "NA", "20260101", "2026-01-01T10:00:00+00:00", "2026-01-01T10:00:00",
        "2026-01-01T10:00:00Z+00:00", "2026-01-01T10:00:00+00:00Z", "+00:00", "2026-01-01T10:00:00.5+00:00",
    ]),
    st.datetimes().map(lambda time: f"{time.isoformat()}+01:30"),
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS)
ANY = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from(["b", "", "é"]), SCALARS, max_size=2)
)
PAYLOADS = st.fixed_dictionaries(
    {"k": st.one_of(TEXTS, st.integers(0, 3), ANY)},
    optional={
        "t": st.one_of(TEXTS, ANY), "v": st.one_of(NUMBERS, ANY), "o": st.one_of(TIMES, ANY),
        "e": st.one_of(TEXTS, ANY), "l": st.one_of(st.lists(TEXTS, max_size=3), ANY),
        "d": st.fixed_dictionaries({"b": TEXTS}) | ANY, "x": ANY, "a b": ANY,
    },
)  # fmt: skip


def transformer_of(rest: str) -> Transformer:
    text = f"sources: [{{name: a, type: api, url: 'https://api.example.org/a', {rest}}}]"
    return build_transformer(parse_configuration(text, {}).sources[0])


def written(transform: Callable[[Sequence[SourceRecord], int], TransformedBatch], payloads: Sequence[Payload]) -> Any:
    """What the store gets, for two lanes."""
    defect = (Defect("bad_encoding", "holds bytes that are not UTF-8"),)
    records = [
        SourceRecord(payload, f"a#{number}", defect if payload.get("x") == "NA" else ())
        for number, payload in enumerate(payloads)
    ]
    shares = split(ReaderBatch(0, len(payloads), {}, 1), transform(records, 1), [0, 0])
    encoded = [encode_share(share, "a", NOW) for share in shares]
    assert all(lane.rows.schema == STAGE_SCHEMA for lane in encoded)
    rows = [lane.rows.to_pylist() for lane in encoded]
    return rows, [replace(lane, rows=STAGE_SCHEMA.empty_table()) for lane in encoded]  # pyright: ignore[reportArgumentType]


@settings(max_examples=300, deadline=None)
@given(st.lists(PAYLOADS, max_size=6), st.sampled_from(MAPPINGS))
def test_columns_and_single_records_are_the_same(payloads: list[Payload], mapping: str) -> None:
    transformer = transformer_of(mapping)
    assert written(transformer.transform, payloads) == written(transformer.judge, payloads)


def columns_of(count: int) -> st.SearchStrategy[list[Payload]]:
    """So many payloads that are alike: with the same names, and mostly with one type of value at each."""
    object_texts = st.fixed_dictionaries({"b": TEXTS, "n": st.one_of(st.none(), NUMBERS)})
    kinds: dict[str, list[st.SearchStrategy[Any]]] = {
        "k": [PLAIN, st.integers(-3, 3), st.decimals(0, 9, places=2), TEXTS],
        "t": [PLAIN, st.one_of(st.none(), PLAIN), TEXTS, NUMBERS, st.booleans(), st.none()],
        "v": [NUMBERS, st.integers(-9, 9), st.one_of(st.none(), NUMBERS), st.decimals(-9, 9, places=2), PLAIN],
        "o": [TIMES, st.datetimes().map(lambda time: f"{time.isoformat()}+00:00"), st.none()],
        "e": [PLAIN, TEXTS, st.integers(-3, 3)],
        "l": [st.lists(PLAIN, max_size=3), st.lists(TEXTS, max_size=2), st.one_of(st.none(), st.lists(PLAIN))],
        "d": [object_texts, st.fixed_dictionaries({"b": st.one_of(st.none(), PLAIN)}), st.just({})],
        "x": [st.booleans(), st.one_of(st.none(), st.booleans()), st.integers(), PLAIN, object_texts, st.none(), ANY],
        "\u00e9": [st.none()], 'a"b': [PLAIN],
    }  # fmt: skip
    columns = {
        name: st.one_of([st.lists(kind, min_size=count, max_size=count) for kind in each])
        for name, each in kinds.items()
    }
    transposed = st.fixed_dictionaries(columns).map(lambda values: zip(*values.values(), strict=True))
    return transposed.map(lambda rows: [dict(zip(kinds, row, strict=True)) for row in rows])


PLAIN = st.sampled_from(["", "NA", "0", "x", "A b", "\u00e9", "e\u0301", "\u212b", "k" * 300, "{,", "[]", "null"])
ALIKE = st.integers(1, 4).flatmap(columns_of)


@settings(max_examples=150, deadline=None)
@given(ALIKE, st.sampled_from(MAPPINGS))
def test_payloads_that_are_alike_and_single_records_are_the_same(payloads: list[Payload], mapping: str) -> None:
    transformer = transformer_of(mapping)
    assert written(transformer.transform, payloads) == written(transformer.judge, payloads)


@settings(deadline=None)
@given(ALIKE)
def test_texts_joined_from_columns_are_those_of_each_payload(payloads: list[Payload]) -> None:
    encoded = encode_payloads(payloads)
    if encoded is not None:
        assert encoded.exact.to_pylist() == list(map(payload_json, payloads))
        assert encoded.canonical.to_pylist() == list(map(canonical_json, payloads))


@settings(deadline=None)
@given(ALIKE)
def test_members_may_come_in_the_order_in_which_they_are_kept(payloads: list[Payload]) -> None:
    sorted_, kept = encode_payloads(payloads), encode_payloads(payloads, all_stored=True)
    assert (sorted_ is None) == (kept is None)
    if sorted_ is not None and kept is not None:
        assert kept.canonical == sorted_.canonical
        assert [json.loads(str(text)) for text in kept.exact] == [json.loads(str(text)) for text in sorted_.exact]


def test_members_are_kept_by_length_then_by_bytes() -> None:
    encoded = encode_payloads([{"b": 1, "aa": {"d": 2, "cc": 3}, "a": 4, "é": 5}], all_stored=True)
    assert encoded is not None
    assert encoded.exact.to_pylist() == ['{"a":4,"b":1,"aa":{"d":2,"cc":3},"é":5}']
    assert encoded.canonical.to_pylist() == ['{"a":4,"aa":{"cc":3,"d":2},"b":1,"é":5}']


def test_plain_payloads_become_columns() -> None:
    encoded = encode_payloads([{"t": "x", "d": {"n": 1, "l": ["a"]}}, {"t": None, "d": {"n": 2, "l": []}}])
    assert encoded is not None
    texts, lists = encoded.payloads.members["t",].texts, encoded.payloads.members["d", "l"].lists
    assert texts is not None
    assert texts.to_pylist() == ["x", None]
    assert lists is not None
    assert lists.to_pylist() == [["a"], []]
    assert encoded.exact.to_pylist() == ['{"d":{"l":["a"],"n":1},"t":"x"}', '{"d":{"l":[],"n":2},"t":null}']


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [{}],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, {}],
        [{"a": "\x00"}],
        [{"\x00": 1}],
        [{"a": "\ud800"}],
        [{"a": {"\ud800": 1}}],
    ],
)
def test_payloads_that_are_not_alike_stay_payloads(payloads: list[Payload]) -> None:
    assert encode_payloads(payloads) is None


def good(number: int) -> Payload:
    return {
        "k": f"k{number}", "t": 'Ä "title"', "v": Decimal("1.50"), "o": "2026-01-01T10:00:00+02:00", "e": None,
        "l": ["a", "b"], "d": {"b": "text", "n": [1, Decimal("2.0"), {"deep": True}]}, "x": number, "a b": "author",
    }  # fmt: skip


@pytest.mark.parametrize("mapping", MAPPINGS[:3])
def test_good_records_are_judged_as_columns(mapping: str) -> None:
    payloads = [{**good(number), "e": "e"} for number in range(5_000)]
    transformer = transformer_of(mapping)
    batch = transformer.transform([SourceRecord(payload, "a#1") for payload in payloads], 1)
    assert batch.accepted == []
    assert sum(rows.num_rows for rows in batch.columns) == 5_000
    assert written(transformer.transform, payloads[:50]) == written(transformer.judge, payloads[:50])


def test_one_bad_record_costs_its_neighbours_nothing_but_time() -> None:
    payloads = [good(number) for number in range(20)]
    payloads[3]["v"], payloads[7]["k"], payloads[11]["o"], payloads[13]["x"] = "1,5", None, 5, Decimal("NaN")
    batch = transformer_of(MAPPINGS[0]).transform([SourceRecord(payload, "a#1") for payload in payloads], 1)
    assert batch.accepted == []
    assert sum(rows.num_rows for rows in batch.columns) == 16
    assert [(rejected.ordinal, rejected.defects[0].code) for rejected in batch.rejected] == [
        (4, "invalid_decimal"),
        (8, "key_missing"),
        (12, "invalid_time"),
        (14, "unstorable"),
    ]


@pytest.mark.parametrize(
    "value", [{"tags": None}, {"attributes": None}, {"title": 5}, {"unknown": "x"}, {"record_key": None}]
)
def test_what_a_source_normalizes_to_nonsense_is_rejected(value: dict[str, object]) -> None:
    def normalize(_: Payload) -> dict[str, object]:
        return {"record_key": "1", **value}

    transformer = Transformer(normalize, lambda _: "1")
    assert written(transformer.transform, [{}, {}]) == written(transformer.judge, [{}, {}])
    assert len(transformer.transform([SourceRecord({}, "a#1")], 1).rejected) == 1
