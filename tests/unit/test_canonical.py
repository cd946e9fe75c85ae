"""Test vectors of the canonical form and the hashes over it; what jsonb cannot hold; the fast ways give the same bytes.

The hashes are written out; `b2sum --length=128` over the canonical text beside them gives the same.
"""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.canonical import (
    UnstorableError,
    canonical_json,
    content_hash,
    digest_sum,
    digest_term,
    hash_text,
    lane_of,
    payload_json,
    record_hash,
    storable_text,
    unstorable,
    without_paths,
)
from kasparro.core.json_columns import encode_numbers, encode_objects

VECTORS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "{}", "2afb9b83f9314e5d029766197f539792"),
    ({"a": "1"}, '{"a":"1"}', "88eed16aa2610e2b30cd6e62cc8ec54c"),
    ({"b": "x", "a": None}, '{"a":null,"b":"x"}', "76ebe5001ac4df98ee2b635335e37efc"),
    ({"a": Decimal("1E+3")}, '{"a":1000}', "bb23a9fdf79f1c9eca18fd0c1a749a20"),
    (
        {"a": Decimal("1.00"), "b": [1, True, {"z": "ü", "k": "\x00"}]},
        '{"a":1,"b":[1,true,{"k":"\\u0000","z":"ü"}]}',
        "7aadeef397ed853615aa2bb8a0ecba56",
    ),
    ({"a": "\ud800"}, '{"a":"\ud800"}', "85ba09180939e2dd2419b9f05c2aca13"),
]


@pytest.mark.parametrize(("payload", "text", "hexadecimal"), VECTORS)
def test_payload_has_one_canonical_text_and_one_hash(payload: dict[str, Any], text: str, hexadecimal: str) -> None:
    assert canonical_json(payload) == text
    assert content_hash(payload).hex() == hexadecimal


def test_hash_is_blake2b_of_128_bits_over_utf_8() -> None:
    assert hash_text("").hex() == "cae66941d9efbd404e4d88758ea67670"
    assert hash_text("ü") == blake2b(b"\xc3\xbc", digest_size=16).digest()


def test_record_hash_leaves_out_what_is_empty() -> None:
    """Over `{"record_key":"k1","title":"T","value":1.5}`."""
    fields = {"record_key": "k1", "title": "T", "value": Decimal("1.50"), "body": None, "tags": [], "attributes": {}}
    assert record_hash(fields).hex() == "80d5ff6fe71f825d4fa6792efc09492b"


def test_record_hash_covers_times_in_utc_lists_and_attributes() -> None:
    """Over `{"attributes":{"a":"x","b":1},"occurred_at":"2026-01-02T03:04:05+00:00","record_key":"k1","tags":["a"]}`"""
    fields = {"record_key": "k1", "tags": ["a"], "attributes": {"b": 1, "a": "x"}}
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    expected = "51475ae4a33cf546053d00133af8d751"
    assert record_hash({**fields, "occurred_at": moment}).hex() == expected
    assert record_hash({**fields, "occurred_at": elsewhere}).hex() == expected
    assert record_hash({**fields, "occurred_at": moment}, attributes_json='{"a":"x","b":1}').hex() == expected


def test_digest_adds_hashes_as_little_endian_integers() -> None:
    hashes = bytes(range(16)), bytes([255] * 16), hash_text("a")
    assert digest_term(b"\x01" + bytes(14) + b"\x02") == 1 + (2 << 120)
    assert digest_sum(b"".join(hashes)) == sum(map(digest_term, hashes))
    assert digest_sum(b"") == 0


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("0", "0"), ("-0", "0"), ("0.00", "0"), ("0E+5", "0"), ("1.0", "1"), ("1.00", "1"), ("1E+3", "1000"),
        ("-12.3400", "-12.34"), ("100", "100"), ("1e-7", "0.0000001"), ("123456e-3", "123.456"),
        ("1E+64", "1" + 64 * "0"), ("1E+65", "1E+65"), ("123456e60", "1.23456E+65"), ("1E-65", "1E-65"),
    ],
)  # fmt: skip
def test_numbers_are_told_by_their_value(written: str, canonical: str) -> None:
    assert canonical_json({"n": Decimal(written)}) == f'{{"n":{canonical}}}'
    assert canonical_json({"n": [Decimal(written)]}) == f'{{"n":[{canonical}]}}'


@given(st.integers(min_value=-(10**80), max_value=10**80), st.integers(min_value=0, max_value=5))
def test_equal_numbers_have_one_form_whatever_their_type_and_scale(number: int, zeros: int) -> None:
    with_scale = Decimal(f"{number}.{'0' * zeros}") if zeros else Decimal(number)
    assert canonical_json({"n": number}) == canonical_json({"n": with_scale})


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_have_equal_forms_exactly_when_they_are_equal(one: Decimal, other: Decimal) -> None:
    assert Decimal(canonical_json({"n": one})[5:-1]) == one
    assert (canonical_json({"n": one}) == canonical_json({"n": other})) == (one == other)


def test_stored_numbers_keep_their_scale() -> None:
    assert payload_json({"a": Decimal("1.00"), "b": Decimal("1E+3"), "c": 1}) == '{"a":1.00,"b":1E+3,"c":1}'


def test_order_of_keys_does_not_show_at_any_depth() -> None:
    one = {"b": {"y": "1", "x": ["2"]}, "a": "3"}
    other = {"a": "3", "b": {"x": ["2"], "y": "1"}}
    assert content_hash(one) == content_hash(other)
    assert canonical_json(one) == '{"a":"3","b":{"x":["2"],"y":"1"}}'


def test_order_of_a_list_does_show() -> None:
    assert content_hash({"a": ["1", "2"]}) != content_hash({"a": ["2", "1"]})


def test_text_is_not_a_number_and_null_is_not_nothing() -> None:
    hashes = {content_hash(payload) for payload in ({"a": "1"}, {"a": 1}, {"a": True}, {"a": None}, {})}
    assert len(hashes) == 5


def test_ignored_paths_do_not_count() -> None:
    payload = {"id": "1", "meta": {"seen": "now", "kept": "x"}, "a.b": "literal"}
    assert canonical_json(payload, ignore=("meta.seen", "a.b")) == '{"id":"1","meta":{"kept":"x"}}'
    assert canonical_json(payload, ignore=("nothing", "id.deeper", "meta.no.where")) == canonical_json(payload)
    assert content_hash(payload, ignore=("meta",)) == content_hash({"id": "1", "a.b": "literal"})


def test_leaving_paths_out_does_not_touch_the_payload() -> None:
    payload = {"meta": {"seen": {"at": "now"}}}
    assert without_paths(payload, ("meta.seen.at",)) == {"meta": {"seen": {}}}
    assert payload == {"meta": {"seen": {"at": "now"}}}


def nested(depth: int) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for _ in range(depth):
        payload = {"a": payload}
    return payload


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"a": "x\x00"}, "NUL character"),
        ({"\x00": "x"}, "NUL character"),
        ({"a": [{"b": "\x00"}]}, "NUL character"),
        ({"a": ("\x00", 1)}, "NUL character"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"a": ["\udfff", 1]}, "lone surrogate"),
        ({"\ud800": "x"}, "lone surrogate"),
        ({"a": Decimal("1e400000")}, r"number 1.000000E\+400000 is out of range"),
        ({"a": Decimal("1e-400000")}, "number 1.000000E-400000 is out of range"),
        ({"a": Decimal("1e131072")}, "out of range"),
        ({"a": Decimal("NaN")}, "not finite"),
        ({"a": float("inf")}, "not finite"),
        (nested(5_000), "nesting too deep"),
    ],
)
def test_what_jsonb_cannot_hold_is_named(payload: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnstorableError, match=reason):
        payload_json(payload)


def test_the_largest_numbers_that_numeric_takes_are_storable() -> None:
    assert payload_json({"a": 10**5_000}) == '{"a":1' + 5_000 * "0" + "}"
    assert payload_json({"a": Decimal("1e131071")}) == '{"a":1E+131071}'
    assert payload_json({"a": Decimal("1e-16383")}) == '{"a":1E-16383}'


def test_text_that_only_looks_like_an_escape_is_storable() -> None:
    assert payload_json({"a": r"\u0000"}) == r'{"a":"\\u0000"}'


def test_bytes_that_cannot_be_stored_stand_in_base64() -> None:
    assert unstorable(b"\xff\x00") == {"_unstorable": "/wA="}


def test_lane_is_decided_by_the_bytes_alone() -> None:
    assert [lane_of(key, 4) for key in (b"k1", b"k2", b"k5")] == [1, 3, 0]
    assert lane_of(b"k2", 1) == 0


@pytest.mark.parametrize("lanes", [2, 3, 7, 8])
@pytest.mark.parametrize("form", ["{}", "r{:09d}", "2013-01-01T{:02d}:00:00Z", "{:032x}", "DL|{}|EWR"])
def test_lanes_get_about_as_many_keys_each(form: str, lanes: int) -> None:
    counts = Counter(lane_of(form.format(number).encode(), lanes) for number in range(20_000))
    assert max(counts.values()) < 1.1 * 20_000 / lanes


TEXT = st.text(st.one_of(st.characters(), st.sampled_from('\x00\\u0"%\ud800\udc00\n')), max_size=8)


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_text_cells_take_one_canonical_form_by_every_way(payload: dict[str, str]) -> None:
    """The encoder for flat payloads, the general one, and the standard library's."""
    expected = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert canonical_json(payload) == expected
    assert canonical_json({"": payload}) == '{"":' + expected + "}"


def test_text_that_cannot_be_stored_is_escaped() -> None:
    assert storable_text("a\0b latin\udce9.csv \ud83d ok \U0001f600") == "a\\x00b latin\\xe9.csv \\ud83d ok \U0001f600"


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), TEXT)
NESTED_ONCE = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(TEXT, SCALARS, max_size=3))
JSON_VALUES = st.one_of(NESTED_ONCE, st.lists(NESTED_ONCE, max_size=3), st.dictionaries(TEXT, NESTED_ONCE, max_size=3))
"""Two levels deep; `st.recursive` warns now and then that it does not recurse."""


@given(st.dictionaries(TEXT, JSON_VALUES, max_size=3))
def test_canonical_text_says_what_the_payload_says(payload: dict[str, Any]) -> None:
    def read(text: str) -> Any:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)

    assert read(canonical_json(payload)) == payload
    assert content_hash(read(canonical_json(payload))) == content_hash(payload)


ODD = st.one_of(
    st.sampled_from([
        Decimal("1.50"), Decimal("-0"), Decimal("-0.00"), Decimal("0.0"), Decimal("1E+2"), Decimal("1E-7"),
        Decimal("0E-9"), Decimal("NaN"), Decimal("Infinity"), Decimal("1e400000"), Decimal(100),
        10**63, 10**64, -(10**70), 10**5_000, Decimal("9" * 70), Decimal("0." + "1" * 70), 1.5, float("nan"),
        "\x00", "\\u0000", "\ud800", "%s", [], {}, True,
        datetime(2026, 1, 1, tzinfo=UTC), ("a", 1), [[], [1]],
        [{"a": Decimal("2.0")}, {"a": None}, {"b": [Decimal("3.0")]}],
    ]),
    JSON_VALUES,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.one_of(st.sampled_from("ab%"), TEXT), ODD, max_size=3), max_size=6))
def test_many_payloads_at_once_have_the_same_texts(payloads: list[dict[str, Any]]) -> None:
    texts = encode_objects(payloads)
    assert list(zip(texts.exact, texts.canonical, strict=True)) == list(map(one_by_one, payloads))


def one_by_one(payload: dict[str, Any]) -> tuple[str, str] | tuple[None, None]:
    try:
        return payload_json(payload), canonical_json(payload)
    except UnstorableError:
        return None, None


def test_payloads_of_many_shapes_keep_their_order() -> None:
    payloads: list[dict[str, Any]] = [
        {"n": n, **({"x": n} if n % 3 else {}), "y": {"z": [n] * (n % 4)}} for n in range(1500)
    ]
    assert encode_objects(payloads).exact == list(map(payload_json, payloads))


def test_no_payloads_have_no_texts() -> None:
    assert encode_objects([]).exact == []


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False)))
def test_many_numbers_have_the_forms_of_each(numbers: list[Decimal]) -> None:
    exact, canonical = encode_numbers(numbers)
    assert exact == list(map(str, numbers))
    assert canonical == [canonical_json({"": number})[4:-1] for number in numbers]


@pytest.mark.parametrize("number", ["Infinity", "NaN", "1e400000", "-1e131072"])
def test_a_number_that_cannot_be_stored_is_refused_among_many(number: str) -> None:
    with pytest.raises(UnstorableError):
        encode_numbers([Decimal(1), Decimal(number)])
