"""Which fields of payloads an expression, and a whole configuration, reads and needs."""

import pytest

from kasparro.ingestion.expression_paths import reads_of
from kasparro.ingestion.mapped_paths import alternatives, mapped_paths, needs, read_paths, uses, uses_of
from kasparro.schemas.configuration import AnySourceConfig, parse_configuration

READS = {
    "id": (["id"], [["id"]]),
    "properties.mag": (["properties.mag"], [["properties.mag"]]),
    'a."b-c".d': (["a.b-c.d"], [["a.b-c.d"]]),
    '"a.b"': (["a.b"], [["a.b"]]),
    "geometry.coordinates[0]": (["geometry.coordinates[]"], [["geometry.coordinates[]"]]),
    "geometry.coordinates[-1]": (["geometry.coordinates[]"], [["geometry.coordinates[]"]]),
    "tags[0:2]": (["tags[]"], [["tags[]"]]),
    "tags[*].name": (["tags[].name"], [["tags[].name"]]),
    "tags[].name": (["tags[].name"], [["tags[].name"]]),
    "tags[].names[]": (["tags[].names"], [["tags[].names"]]),
    'prices."2026-11-23".usd': (["prices.*.usd"], [["prices.*.usd"]]),
    "prices.*.usd": (["prices.*.usd"], [["prices.*.usd"]]),
    "items[?kind=='x'].size | [0]": (["items[].kind", "items[].size"], [["items[].kind"], ["items[].size"]]),
    "items[?kind].size": (["items[].kind", "items[].size"], [["items[].kind"], ["items[].size"]]),
    "join(' ', [first, last])": (["first", "last"], [["first"], ["last"]]),
    "parse_time(properties.time, 'epoch_ms')": (["properties.time"], [["properties.time"]]),
    "join('', split(guid, ':')[-2:])": (["guid"], [["guid"]]),
    "magnitude || mag": (["mag", "magnitude"], [["mag", "magnitude"]]),
    "not_null(magnitude, mag)": (["mag", "magnitude"], [["mag", "magnitude"]]),
    "not_null(a, b).c": (["a.c", "b.c"], [["a.c", "b.c"]]),
    "(a || b).c[0]": (["a.c[]", "b.c[]"], [["a.c[]", "b.c[]"]]),
    "mag || '0'": (["mag"], []),
    "not_null(mag, `0`)": (["mag"], []),
    "lower(kind || '')": (["kind"], []),
    "lower(not_null(kind, type))": (["kind", "type"], [["kind", "type"]]),
    "to_number(a) || to_number(b)": (["a", "b"], [["a", "b"]]),
    "to_number(a) || 'none'": (["a"], []),
    "type(t) == 'number' && parse_time(t, 'epoch_ms') || t": (["t"], [["t"]]),
    "flag && on": (["flag", "on"], [["flag"], ["on"]]),
    "!flag": (["flag"], [["flag"]]),
    "a == `1`": (["a"], [["a"]]),
    "sort_by(items, &at)[0].name": (["items[].at", "items[].name"], [["items[].at"], ["items[].name"]]),
    "max_by(items, &size).name": (["items[].size", "items[].name"], [["items[].size"], ["items[].name"]]),
    "map(&name, items)": (["items", "items[].name"], [["items"], ["items[].name"]]),
    "length(tags)": (["tags"], [["tags"]]),
    "reverse(tags)[0]": (["tags[]"], [["tags[]"]]),
    "{a: x.y, b: z}": (["x.y", "z"], [["x.y"], ["z"]]),
    "[a, b][?@ != null] | [0]": (["a", "b"], [["a"], ["b"]]),
    "@": ([], []),
    "keys(@)": ([], []),
    "'text'": ([], []),
    "`5`": ([], []),
}
JSON = """
sources:
  - name: quakes
    type: api
    url: http://upstream.example/quakes
    key: id
    version: {field: properties.updated, type: number}
    incremental: {field: properties.updated, format: epoch_ms, param: since}
    where: properties.status != 'automatic'
    deletes: {tombstone: properties.deleted}
    map:
      title: properties.title
      value: not_null(properties.magnitude, properties.mag)
      unit: {value: ml}
      occurred_at: {expr: "parse_time(properties.time, 'epoch_ms')"}
      tags: [properties.net, {expr: "properties.types"}]
      attributes: {place: properties.place, depth: {expr: "geometry.coordinates[2]"}}
"""
CSV = """
sources:
  - name: trades
    type: csv
    path: trades.csv
    key: [a.b, day]
    ignore: [seen]
    version: changed
    map:
      title: Trade Name
      value: {expr: "not_null(price, cost)"}
      tags: side
      attributes: "*"
"""


@pytest.mark.parametrize(("expression", "expected"), READS.items())
def test_fields_that_an_expression_reads_and_needs(
    expression: str, expected: tuple[list[str], list[list[str]]]
) -> None:
    paths, needed = expected
    found = reads_of(expression)
    assert found.paths == frozenset(paths)
    assert set(found.needs) == {frozenset(each) for each in needed}


def test_fields_that_a_json_source_needs() -> None:
    config = _source(JSON)
    assert mapped_paths(config) == {
        "id", "properties.updated", "properties.title", "properties.time", "properties.net", "properties.types",
        "properties.place", "geometry.coordinates[]", "properties.deleted",
    }  # fmt: skip
    assert frozenset(("properties.mag", "properties.magnitude")) in needs(config)
    assert read_paths(config) - mapped_paths(config) == {
        "properties.mag", "properties.magnitude", "properties.status",
    }  # fmt: skip


def test_alternatives_are_told_apart_from_what_is_needed_alone() -> None:
    config = _source(JSON)
    assert alternatives(config) == (frozenset(("properties.mag", "properties.magnitude")),)
    assert {"properties.mag", "properties.magnitude"}.isdisjoint(mapped_paths(config))


def test_a_watermark_is_read_and_not_needed() -> None:
    config = _source(JSON.replace("    version: {field: properties.updated, type: number}\n", ""))
    assert "properties.updated" in read_paths(config) - mapped_paths(config)


def test_columns_are_named_as_they_are() -> None:
    config = _source(CSV)
    assert mapped_paths(config) == {"a.b", "day", "changed", "Trade Name", "side"}
    assert [use.shown for use in uses(config)] == [
        "key[0]", "key[1]", "map.title", "map.tags", "map.value.expr", "version", "ignore[0]",
    ]  # fmt: skip


def test_settings_that_use_a_field_or_what_is_in_it() -> None:
    config = _source(JSON)
    assert [use.shown for use in uses_of(config, "properties.mag")] == ["map.value"]
    assert [use.at for use in uses_of(config, "properties.updated")] == [("version", "field"), ("incremental", "field")]
    assert [use.shown for use in uses_of(config, "geometry")] == ["map.attributes.depth.expr"]
    assert len(uses_of(config, "properties")) == 10
    assert uses_of(config, "prop") == []


def test_an_entry_of_a_feed_needs_only_what_is_mapped() -> None:
    without = _source("sources: [{name: news, type: rss, url: 'http://feed.example/'}]")
    assert mapped_paths(without) == frozenset()
    assert {"title", "link", "categories[].term", "published_parsed"} <= read_paths(without)
    mapped = _source("sources: [{name: news, type: rss, url: 'http://feed.example/', map: {title: summary}}]")
    assert mapped_paths(mapped) == {"summary"}
    assert "title" not in read_paths(mapped)


def _source(text: str) -> AnySourceConfig:
    return parse_configuration(text, {}).sources[0]
