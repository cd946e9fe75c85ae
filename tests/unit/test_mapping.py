"""A mapping gives candidate fields; what cannot be read is a defect that names the field, never a guess."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.mapping import compile_key, compile_mapping, named_columns
from kasparro.ingestion.source import Payload, RecordRejected
from kasparro.schemas.configuration import CsvSourceConfig, parse_configuration


def source_of(mapping: str, rest: str = "key: id") -> CsvSourceConfig:
    text = f"sources: [{{name: a, type: csv, path: a.csv, map: {mapping}, {rest}}}]"
    source = parse_configuration(text, {}).sources[0]
    assert isinstance(source, CsvSourceConfig)
    return source


def normalized(mapping: str, payload: Payload, rest: str = "key: id") -> dict[str, object]:
    return compile_mapping(source_of(mapping, rest))({"id": "1", **payload})


def defects(mapping: str, payload: Payload, rest: str = "key: id") -> list[tuple[str, str | None, str]]:
    with pytest.raises(RecordRejected) as caught:
        compile_mapping(source_of(mapping, rest))(payload)
    return [(defect.code, defect.field, defect.message) for defect in caught.value.defects]


def test_columns_constants_and_expressions_fill_fields() -> None:
    mapping = """{title: name, value: price, unit: {value: EUR}, occurred_at: at, url: {expr: "join('/', [host, id])"},
        tags: [a, {expr: "[b, null]"}], attributes: {lot: lot, half: {value: 0.50}, pair: {expr: "{x: a}"}}}"""
    payload = {
        "name": "Ü",
        "price": " 1.50 ",
        "at": "2013-01-01T05:00:00-05:00",
        "host": "h",
        "a": "A",
        "b": "B",
        "lot": "7",
    }
    assert normalized(mapping, payload) == {
        "record_key": "1",
        "title": "Ü",
        "value": Decimal("1.50"),
        "unit": "EUR",
        "occurred_at": datetime(2013, 1, 1, 10, tzinfo=UTC),
        "url": "h/1",
        "tags": ["A", "B"],
        "attributes": {"lot": "7", "half": Decimal("0.50"), "pair": {"x": "A"}},
    }


def test_null_values_give_no_value() -> None:
    mapping = "{title: t, value: t, occurred_at: t, url: {expr: t}, tags: [t], attributes: {t: t, u: u}}"
    rest = "key: id, null_values: ['', NA]"
    assert normalized(mapping, {"t": "NA", "u": "x"}, rest) == {"record_key": "1", "attributes": {"u": "x"}}
    assert normalized(mapping, {"t": "", "u": ""}, rest) == {"record_key": "1", "attributes": {}}
    assert normalized("{value: v, occurred_at: v}", {"v": "  "}) == {"record_key": "1"}
    assert normalized("{title: t}", {"t": "NA"}) == {"record_key": "1", "title": "NA"}


def test_all_attributes_are_the_columns_not_mapped_elsewhere() -> None:
    mapping = "{title: t, tags: [g], url: {expr: h}, attributes: '*'}"
    payload = {"t": "T", "g": "G", "h": "H", "x": "X", "empty": ""}
    assert normalized(mapping, payload)["attributes"] == {"id": "1", "h": "H", "x": "X"}


def test_every_defect_of_a_record_is_reported() -> None:
    mapping = """{title: gone, value: v, occurred_at: t, body: {expr: abs(v)}, author: {expr: "[v]"},
        attributes: {a: no, b: nor}}"""
    failed = (
        "abs(v): In function abs(), invalid type for value: 1,234.50, expected one of: ['number'], received: \"string\""
    )
    assert defects(mapping, {"id": "", "v": "1,234.50", "t": "01/02/2013"}) == [
        ("key_missing", "id", 'column "id", which is part of the key, has no value'),
        ("missing_field", "title", 'there is no column "gone"'),
        ("expression_failed", "body", failed),
        ("invalid_text", "author", "must be text, not a list"),
        ("invalid_decimal", "value", '"1,234.50" is not a decimal number'),
        ("invalid_time", "occurred_at", '"01/02/2013" is not an ISO 8601 time'),
        ("missing_field", "attributes.a", 'there is no column "no"'),
        ("missing_field", "attributes.b", 'there is no column "nor"'),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-1.50", "-1.50"),
        ("+.5", "0.5"),
        ("1e3", "1E+3"),
        ("\t12 ", "12"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
def test_decimals_are_exact(text: str, value: str) -> None:
    found = normalized("{value: v}", {"v": text})["value"]
    assert isinstance(found, Decimal)
    assert str(found) == value


@pytest.mark.parametrize(
    "text", ["1,5", "1 000", "1_000", "NaN", "Infinity", "-inf", "0x1f", "١٢", "$5", "5%", "1e" + "9" * 30]
)
def test_what_is_not_clearly_a_number_is_refused(text: str) -> None:
    [(code, field, message)] = defects("{value: v}", {"id": "1", "v": text})
    assert (code, field) == ("invalid_decimal", "value")
    assert "is not a decimal number" in message


def test_a_float_is_no_exact_decimal() -> None:
    [(code, _, message)] = defects("{value: {expr: '`1.5`'}}", {"id": "1", "v": "1.5"})
    assert (code, message) == ("invalid_decimal", "must be an exact decimal, not 1.5 (float)")
    assert str(normalized("{value: {expr: 'to_number(v)'}}", {"v": "1.50"})["value"]) == "1.50"
    assert normalized("{value: {expr: 'length(v)'}}", {"v": "abc"})["value"] == Decimal(3)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2013-01-01T05:00:00Z", "Europe/Berlin", "2013-01-01T05:00:00+00:00"),
        ("2013-01-01 05:00:00", "Europe/Berlin", "2013-01-01T04:00:00+00:00"),
        ("2013-01-01 05:00", "UTC", "2013-01-01T05:00:00+00:00"),
        ("2013-01-01", "America/New_York", "2013-01-01T05:00:00+00:00"),
        (" 2013-01-01t05:00:00.123456789z ", "UTC", "2013-01-01T05:00:00.123456+00:00"),
        ("2013-01-01T05:00:00+0530", "UTC", "2012-12-31T23:30:00+00:00"),
        ("2013-03-31 02:30", "Europe/Berlin", "2013-03-31T01:30:00+00:00"),
        ("2013-10-27 02:30", "Europe/Berlin", "2013-10-27T00:30:00+00:00"),
    ],
    ids=[
        "zone given",
        "source's zone",
        "UTC",
        "a date alone",
        "small letters and nanoseconds",
        "offset",
        "gap",
        "fold",
    ],
)
def test_times_are_read_in_the_sources_zone(text: str, zone: str, expected: str) -> None:
    found = normalized("{occurred_at: t}", {"t": text}, f"key: id, timezone: {zone}")["occurred_at"]
    assert isinstance(found, datetime)
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "1357020000",
        "20130101",
        "2013-W01-1",
        "2013-001",
        "2013-13-01",
        "2013-01-01x05:00",
        "5:00",
        "yesterday",
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_not_clearly_a_time_is_refused(text: str) -> None:
    assert defects("{occurred_at: t}", {"id": "1", "t": text}) == [
        ("invalid_time", "occurred_at", f'"{text}" is not an ISO 8601 time')
    ]


def test_text_in_messages_is_cut() -> None:
    [(_, _, message)] = defects("{value: v}", {"id": "1", "v": "x" * 1000})
    assert message == f'"{"x" * 97}..." is not a decimal number'


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"a": "x", "b": "y"}, "x|y"),
        ({"a": "x|y", "b": "z"}, "x\\|y|z"),
        ({"a": "x", "b": "y|z"}, "x|y\\|z"),
        ({"a": "x\\", "b": "|y"}, "x\\\\|\\|y"),
        ({"a": " x", "b": "y "}, " x|y "),
    ],
)
def test_parts_of_a_key_are_joined_unambiguously(payload: Payload, key: str) -> None:
    assert compile_key(source_of("{}", "key: [a, b]"))(payload) == key


_PARTS = st.tuples(*[st.text(st.sampled_from("a|\\"), min_size=1)] * 3)


@given(_PARTS, _PARTS)
def test_different_parts_never_make_the_same_key(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    key_of = compile_key(source_of("{}", "key: [a, b, c]"))
    keys = [key_of(dict(zip("abc", parts, strict=True))) for parts in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_a_part_of_a_key_without_value_is_named() -> None:
    for payload in ({"a": "x", "b": ""}, {"a": "x", "b": " "}, {"a": "x", "b": None}, {"a": "x", "b": "NA"}):
        assert defects("{}", payload, "key: [a, b], null_values: ['', NA]") == [
            ("key_missing", "b", 'column "b", which is part of the key, has no value')
        ]
    assert defects("{}", {}, "key: [a, b]") == [
        ("key_missing", "a", 'there is no column "a", which is part of the key'),
        ("key_missing", "b", 'there is no column "b", which is part of the key'),
    ]


def test_without_a_key_the_row_names_itself() -> None:
    key_of = compile_key(source_of("{title: t}", "skip_rows: 0"))
    assert key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"})
    assert key_of({"a": "1"}) != key_of({"a": "2"})
    assert len(key_of({"a": "1"})) == 32


def test_named_columns_are_those_a_file_must_have() -> None:
    source = source_of("{title: t, tags: [g, {expr: h}], unit: {value: u}, attributes: {x: c, y: t}}", "key: [k, t]")
    assert named_columns(source) == ["k", "t", "g", "c"]


@given(st.dictionaries(st.sampled_from(["id", "v", "t", "x"]), st.one_of(st.none(), st.text())))
def test_any_row_is_normalized_or_rejected(payload: dict[str, Any]) -> None:
    mapping = "{title: x, value: v, occurred_at: t, tags: {expr: 'keys(@)'}, author: {expr: 'max(x)'}, attributes: '*'}"
    normalize = compile_mapping(source_of(mapping))
    has_key = bool((payload.get("id") or "").strip())
    codes = set[str]()
    try:
        normalize(payload)
    except RecordRejected as rejected:
        codes = {defect.code for defect in rejected.defects}
    assert ("key_missing" in codes) == (not has_key)
