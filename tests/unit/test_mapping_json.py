"""Mappings over JSON: paths, exact numbers, keys of any scalar, and a feed's fields with what is mapped over them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.mapping import compile_key, compile_mapping
from kasparro.ingestion.paths import compile_path, path_names
from kasparro.ingestion.source import Payload, RecordRejected
from kasparro.schemas.configuration import AnySourceConfig, parse_configuration
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

ENTRY: Payload = {
    "guid": "g", "link": "https://x.org/1", "title": "A &amp; B", "title_type": "text/html", "authors": [],
    "summary": "<p>hi</p>", "summary_type": "text/html", "content": [], "categories": [], "enclosures": [],
    "published": None, "published_parsed": None, "updated": None, "updated_parsed": "2026-11-01T05:00:00Z",
    "language": None, "base": None, "_key": "f:g", "feed": {"url": "https://x.org/feed", "title": "F"},
    "extra": "<script>x</script><b>bold</b> <a href='/rel'>rel</a>", "bad": "javascript:alert(1)",
}  # fmt: skip


def source_of(mapping: str, rest: str = "key: id") -> AnySourceConfig:
    text = f"sources: [{{name: a, type: api, url: https://x.org, map: {mapping}, {rest}}}]"
    return parse_configuration(text, {}).sources[0]


def feed_of(rest: str) -> AnySourceConfig:
    return parse_configuration(f"sources: [{{name: a, type: rss, url: https://x.org/feed{rest}}}]", {}).sources[0]


def normalized(mapping: str, payload: Payload, rest: str = "key: id") -> dict[str, object]:
    return compile_mapping(source_of(mapping, rest))({"id": 1, **payload})


def defects(source: AnySourceConfig, payload: Payload) -> list[tuple[str, str | None, str]]:
    with pytest.raises(RecordRejected) as caught:
        compile_mapping(source)(payload)
    return [(defect.code, defect.field, defect.message) for defect in caught.value.defects]


def test_paths_reach_into_objects_and_what_is_not_there_has_no_value() -> None:
    mapping = """{title: name, value: quotes.USD.price, body: gone, author: name.first, category: '"odd-name".x',
        tags: [labels, {expr: "teams[].name"}], occurred_at: at, unit: "ids[0]",
        attributes: {rank: rank, more: quotes}}"""
    quotes = {"USD": {"price": Decimal("1.10")}}
    payload: Payload = {
        "name": "N", "quotes": quotes, "odd-name": {"x": True}, "labels": ["a", None, 1], "teams": [{"name": "t"}],
        "at": "2026-11-01T05:00:00+01:00", "ids": ["i"], "rank": 0,
    }  # fmt: skip
    found = normalized(mapping, payload)
    assert found == {
        "record_key": "1",
        "title": "N",
        "value": Decimal("1.10"),
        "category": "true",
        "tags": ["a", "1", "t"],
        "occurred_at": datetime(2026, 11, 1, 4, tzinfo=UTC),
        "unit": "i",
        "attributes": {"rank": 0, "more": quotes},
    }
    assert str(found["value"]) == "1.10"


def test_all_attributes_of_an_object_are_what_is_not_mapped_elsewhere() -> None:
    payload: Payload = {"t": "T", "list": [1], "object": {"a": None}, "none": None, "empty": "", "zero": 0}
    assert normalized("{title: t, attributes: '*'}", payload)["attributes"] == {
        "id": 1,
        "list": [1],
        "object": {"a": None},
        "zero": 0,
    }


def test_numbers_since_1970_are_read_by_parse_time() -> None:
    mapping = """{occurred_at: {expr: "parse_time(t, 'epoch_ms')"}}"""
    assert normalized(mapping, {"t": 1518048000123})["occurred_at"] == datetime(2018, 2, 8, 0, 0, 0, 123000, tzinfo=UTC)
    [(code, field, message)] = defects(source_of("{occurred_at: t}"), {"id": 1, "t": 1518048000123})
    assert (code, field) == ("invalid_time", "occurred_at")
    assert message.endswith("numbers are read by parse_time(.., 'epoch_ms') or 'epoch_s'")


@pytest.mark.parametrize(
    ("key", "payload", "expected"),
    [
        ("id", {"id": 17}, "17"),
        ("id", {"id": "x"}, "x"),
        ("id", {"id": Decimal("1.50")}, "1.50"),
        ("id", {"id": False}, "false"),
        ("[a.b, c]", {"a": {"b": 1}, "c": "x|y"}, "1|x\\|y"),
        ("\"join('-', [a, b])\"", {"a": "1", "b": "2"}, "1-2"),
    ],
)
def test_a_record_is_named_by_the_text_of_its_key(key: str, payload: Payload, expected: str) -> None:
    assert compile_key(source_of("{title: t}", f"key: {key}"))(payload) == expected


def test_a_part_of_a_key_without_value_is_named() -> None:
    source = source_of("{title: t}", "key: [a.b, c, d, e]")
    assert defects(source, {"a": [], "c": None, "d": " ", "e": {}}) == [
        ("key_missing", "a.b", "a.b, which is part of the key, has no value"),
        ("key_missing", "c", "c, which is part of the key, has no value"),
        ("key_missing", "d", "d, which is part of the key, has no value"),
        ("key_missing", "e", "e, which is part of the key: must be text, not an object"),
    ]


def test_names_are_looked_up_and_everything_else_is_evaluated() -> None:
    assert path_names("a.b.c") == ("a", "b", "c")
    assert path_names('"x-y"."ü"') == ("x-y", "ü")
    assert [path_names(path) for path in ("a[0]", "a.*", "length(a)", "@", "a || b")] == [None] * 5


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), _VALUES), st.sampled_from(["a", "a.b", "a.b.c", "c.a"]))
def test_a_looked_up_path_gives_what_jmespath_gives(payload: dict[str, Any], path: str) -> None:
    assert compile_path(path)(payload) == evaluate(compile_expression(path), payload)


@given(_VALUES)
def test_any_record_is_normalized_or_rejected(value: Any) -> None:
    mapping = "{title: v, value: v, occurred_at: v, tags: v, url: v.a, attributes: {x: v, y: v.b}}"
    source = source_of(mapping, "key: v")
    normalize = compile_mapping(source)
    codes = set[str]()
    try:
        normalize({"v": value})
    except RecordRejected as rejected:
        codes = {defect.code for defect in rejected.defects}
    names_it = isinstance(value, bool | int) or (isinstance(value, str) and bool(value.strip()))
    assert ("key_missing" in codes) == (not names_it)


def test_a_feed_without_a_map_says_what_its_fields_are() -> None:
    assert compile_mapping(feed_of(""))(ENTRY) == {
        "record_key": "f:g",
        "title": "A & B",
        "body": "<p>hi</p>",
        "url": "https://x.org/1",
        "occurred_at": datetime(2026, 11, 1, 5, tzinfo=UTC),
        "attributes": {
            "feed_url": "https://x.org/feed",
            "feed_title": "F",
            "guid": "g",
            "updated": "2026-11-01T05:00:00Z",
        },
    }


def test_what_is_mapped_from_a_feed_wins_and_is_made_harmless() -> None:
    mapped = feed_of(", key: guid, map: {title: {expr: extra}, body: {expr: extra}, entity_key: guid}")
    fields = compile_mapping(mapped)(ENTRY)
    assert (fields["record_key"], fields["title"], fields["entity_key"]) == ("g", "bold rel", "g")
    assert (fields["url"], fields["occurred_at"]) == ("https://x.org/1", datetime(2026, 11, 1, 5, tzinfo=UTC))
    body = str(fields["body"])
    assert "script" not in body
    assert 'href="https://x.org/rel"' in body
    assert compile_mapping(feed_of(", map: {url: {expr: bad}}"))(ENTRY)["url"] is None
