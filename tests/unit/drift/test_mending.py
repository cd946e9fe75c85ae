"""From drift to mapping: what is proposed for which setting, and that a patch changes nothing else in the file."""

import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kasparro.ingestion.mapped_paths import mapped_paths
from kasparro.ingestion.mending.patching import Patch, patch_for, read_file, write
from kasparro.ingestion.mending.proposals import Drifted
from kasparro.ingestion.mending.renaming import read_either
from kasparro.schemas.configuration import AnySourceConfig
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

MAG = ("properties.mag", "properties.magnitude")
BOTH = "not_null(properties.magnitude, properties.mag)"
REWRITTEN = {
    "properties.mag": BOTH,
    "to_number(properties.mag)": f"to_number({BOTH})",
    "lower( properties . mag )": "lower( not_null(properties.magnitude, properties . mag) )",
    'properties."mag"': 'not_null(properties.magnitude, properties."mag")',
    "properties.mag.value": f"{BOTH}.value",
    "properties.mag[0]": f"{BOTH}[0]",
    "properties.mag || '0'": f"{BOTH} || '0'",
    "!(properties.mag)": f"!({BOTH})",
    "join('', [id, 'properties.mag', properties.mag])": f"join('', [id, 'properties.mag', {BOTH}])",
    "{properties: properties.mag, mag: id}": f"{{properties: {BOTH}, mag: id}}",
    "not_null(properties.size, properties.mag)": "not_null(properties.size, properties.magnitude, properties.mag)",
    "properties.mag > `5` && properties.mag || id": f"{BOTH} > `5` && {BOTH} || id",
    "properties.mag | to_string(@)": f"{BOTH} | to_string(@)",
}
LEFT = (
    "properties.magType", "properties | mag", "items[?properties.mag].x", "sort_by(items, &properties.mag)[0]",
    "@.properties.mag", "properties.{a: mag}", "properties.[mag]", "items[0].properties.mag", "id | properties.mag",
    "a.length(properties.mag)", "properties.*", "!properties.mag", "properties.mag || @.properties.mag",
)  # fmt: skip
JSON = """\
# Where records come from.
sources:
  - name: quakes   # the agency's
    type: api
    url: http://${HOST}/quakes
    key: [id]
    ignore: [properties.mag, properties.felt]
    map:
      title: "properties.mag"
      url: 'properties.mag'
      value: properties.mag      # its size
      unit: {expr: "lower(properties.mag)"}
      body:  {expr: "properties.mag || 'none'"}  # whatever
      tags: [properties.mag, properties.net]
      attributes:
        mag: properties.mag
        kind: {expr: "type(properties.mag)"}
"""
JSON_MENDED = """\
# Where records come from.
sources:
  - name: quakes   # the agency's
    type: api
    url: http://${HOST}/quakes
    key: [id]
    ignore: [properties.mag, properties.magnitude, properties.felt]
    map:
      title: "not_null(properties.magnitude, properties.mag)"
      url: 'not_null(properties.magnitude, properties.mag)'
      value: not_null(properties.magnitude, properties.mag)      # its size
      unit: {expr: "lower(not_null(properties.magnitude, properties.mag))"}
      body:  {expr: "not_null(properties.magnitude, properties.mag) || 'none'"}  # whatever
      tags: ["not_null(properties.magnitude, properties.mag)", properties.net]
      attributes:
        mag: not_null(properties.magnitude, properties.mag)
        kind: {expr: "type(not_null(properties.magnitude, properties.mag))"}
"""
CSV = """\
sources:
- {name: other, type: csv, path: o.csv, key: mag, map: {value: mag}}
- name: quakes
  type: csv
  path: q.csv
  key: id
  ignore:
    - mag
    - seen   # often
  map:
    title: place                  # where
    value: mag                                       # how large
    tags:
      - mag
    attributes:
      "the size": mag
"""
CSV_MENDED = """\
sources:
- {name: other, type: csv, path: o.csv, key: mag, map: {value: mag}}
- name: quakes
  type: csv
  path: q.csv
  key: id
  ignore:
    - mag
    - Magnitude (Mw)
    - seen   # often
  map:
    title: place                  # where
    value: {expr: 'not_null("Magnitude (Mw)", mag)'}                                       # how large
    tags:
      - {expr: 'not_null("Magnitude (Mw)", mag)'}
    attributes:
      "the size": {expr: 'not_null("Magnitude (Mw)", mag)'}
"""
MILLISECONDS = (1_517_400_000_000.0, 1_517_990_000_000.0)


@pytest.mark.parametrize(("expression", "expected"), REWRITTEN.items())
def test_an_expression_reads_both_names(expression: str, expected: str) -> None:
    assert read_either(expression, *MAG) == expected


@pytest.mark.parametrize("expression", LEFT)
def test_what_cannot_be_changed_for_certain_is_left(expression: str) -> None:
    assert read_either(expression, *MAG) is None


@pytest.mark.parametrize("value", [Decimal("1.90"), 0, "", False, None, [], [3], {"value": "x"}])
@pytest.mark.parametrize("expression", [each for each in REWRITTEN if "lower" not in each and "not_null" not in each])
def test_old_payloads_give_what_they_gave_and_new_ones_the_same(expression: str, value: Any) -> None:
    old: dict[str, Any] = {"id": "q1", "properties": {"mag": value}}
    new: dict[str, Any] = {"id": "q1", "properties": {"magnitude": value}}
    rewritten = read_either(expression, *MAG)
    assert rewritten is not None
    try:
        before = evaluate(compile_expression(expression), old)
    except (ValueError, TypeError):
        return
    assert evaluate(compile_expression(rewritten), old) == before
    assert evaluate(compile_expression(rewritten), new) == before


@pytest.mark.parametrize(
    ("name", "before", "after", "subject"),
    [
        ("json", JSON, JSON_MENDED, "properties.mag -> properties.magnitude"),
        ("csv", CSV, CSV_MENDED, "mag -> Magnitude (Mw)"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_patch_changes_these_settings_and_no_other_character(
    tmp_path: Path, name: str, before: str, after: str, subject: str, newline: str
) -> None:
    patch = _patch(tmp_path, before.replace("\n", newline), _renamed(subject))
    assert patch.after == after.replace("\n", newline)
    [config] = patch.sources.values()
    assert not any(path.endswith("mag") for path in mapped_paths(config)), name
    assert patch.unchanged["quakes"] == []


@pytest.mark.parametrize(
    "tool", [["patch", "-p0", "--binary"], ["patch", "-p0"], ["git", "apply", "-p0", "--whitespace=nowarn"]]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_patch_applies(tmp_path: Path, tool: list[str], newline: str, end: str) -> None:
    text = (JSON.removesuffix("\n") + end).replace("\n", newline)
    patch = _patch(tmp_path, text, _renamed("properties.mag -> properties.magnitude"))
    subprocess.run(tool, cwd=tmp_path, input=patch.text.encode(), check=True, capture_output=True)
    assert (tmp_path / "kasparro.yaml").read_bytes() == patch.after.encode()


def test_each_hunk_says_what_it_is_for(tmp_path: Path) -> None:
    patch = _patch(tmp_path, CSV, _renamed("mag -> magnitude"))
    heads = [line for line in patch.text.splitlines() if line.startswith("@@")]
    assert heads == ["@@ -6,11 +6,12 @@ drift 3: mag -> magnitude, confidence 0.97 (name 0.90, values 0.96)"]
    assert patch.text.startswith("--- kasparro.yaml\n+++ kasparro.yaml\n@@ ")


def test_applying_keeps_permissions_and_does_not_overwrite_what_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "kasparro.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    path.chmod(0o640)
    patch = _patched(path, _renamed("mag -> magnitude"))
    write(patch)
    assert path.read_bytes() == b"\xef\xbb\xbf" + patch.after.encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["kasparro.yaml"]
    with pytest.raises(Exception, match="it has changed meanwhile"):
        write(patch)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("map: {value: &size mag}", "it has a tag or an anchor"),
        ("map: {value: &size mag, unit: *size}", "it stands in an alias"),
        ("map: {value: !!str mag}", "it has a tag or an anchor"),
        ('map: {value: {expr: "${NAME}"}}', "it is filled in from a variable"),
        ("map:\n      value:\n        expr: >-\n          mag\n", "it is written over several lines"),
        ("map: {value: {expr: 'rows[?mag].x | [0]'}}", "no setting reads it"),
        ("map: {value: {expr: 'id | mag'}}", "no setting reads it"),
        ("map: {value: {expr: '@.mag'}}", "it cannot be told how to read magnitude as well"),
        ("ignore: [seen], version: mag, map: {title: id}", "no path reads both names"),
        ("map: {value: {expr: 'not_null(magnitude, mag)'}}", "it reads both names already"),
    ],
)
def test_what_cannot_be_changed_is_said(tmp_path: Path, setting: str, reason: str) -> None:
    text = "sources:\n  - name: quakes\n    type: api\n    url: http://a.example/\n    key: id\n    "
    text += "\n    ".join(setting.split(", ", 2)) if setting.startswith("ignore") else setting
    patch = _patch(tmp_path, text + "\n", _renamed("mag -> magnitude"), NAME="mag")
    assert (patch.text, patch.after) == ("", patch.file.text)
    assert any(reason in each.reason for each in patch.unchanged["quakes"]), patch.unchanged


def test_a_key_stays_and_the_way_out_is_said(tmp_path: Path) -> None:
    text = "sources:\n  - {name: quakes, type: api, url: 'http://a.example/', key: mag, map: {value: mag}}\n"
    patch = _patch(tmp_path, text, _renamed("mag -> magnitude"))
    assert 'key: mag, map: {value: "not_null(magnitude, mag)"}' in patch.after
    [kept] = patch.unchanged["quakes"]
    assert (kept.setting, kept.is_fine) == ("key", False)
    assert "under another name, with the key magnitude" in kept.reason


DOTTED: list[tuple[str, dict[str, Any], str | None]] = [
    ("a -> item.price", {"item.price": 1}, 'not_null("item.price", a)'),
    ("a -> item.price", {"item": {"price": 1}}, "not_null(item.price, a)"),
    ("a -> item.price.net", {"item.price": {"net": 1}}, 'not_null("item.price".net, a)'),
    ("a -> 2nd", {"2nd": 1}, 'not_null("2nd", a)'),
    ("a -> item.price", {"price": 1}, None),
    ("b.a -> b.c", {"b": {"c": 1}}, "not_null(b.c, b.a)"),
    ("b.a -> b.c", {"b.c": 1}, 'not_null("b.c", b.a)'),
    ("b.a -> b.c.d", {"b": {"c.d": 1}}, 'not_null(b."c.d", b.a)'),
    ("b.a -> b.c.d", {}, None),
]


@pytest.mark.parametrize(("subject", "payload", "expected"), DOTTED)
def test_names_with_dots_are_told_from_members_by_what_payloads_have(
    tmp_path: Path, subject: str, payload: dict[str, Any], expected: str | None
) -> None:
    old = subject.split(" -> ", maxsplit=1)[0]
    text = f"sources:\n  - {{name: quakes, type: api, url: 'http://a.example/', key: id, map: {{value: {old}}}}}\n"
    patch = _patch(tmp_path, text, replace(_renamed(subject), payloads=[{"id": 1}, payload]))
    if expected is None:
        assert [patch.text, "cannot be told" in patch.unchanged["quakes"][0].reason] == ["", True]
        return
    [change] = patch.changes["quakes"]
    assert change.text == expected
    assert evaluate(compile_expression(expected), payload) == 1
    assert patch.sources["quakes"].map is not None


def test_a_setting_that_reads_the_new_name_in_vain_is_no_answer(tmp_path: Path) -> None:
    mapped = "map: {value: {expr: 'not_null(item.price, a)'}}"
    text = f"sources:\n  - {{name: quakes, type: api, url: 'http://a.example/', key: id, {mapped}}}\n"
    patch = _patch(tmp_path, text, replace(_renamed("a -> item.price"), payloads=[{"item.price": 1}]))
    [kept] = patch.unchanged["quakes"]
    assert [kept.is_fine, "finds nothing in payloads that have item.price" in kept.reason] == [False, True]


def test_formats_of_times_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    mapped = "map: {occurred_at: {expr: \"parse_time(at, '%d/%m/%Y')\"}}"
    text = f"sources:\n  - {{name: quakes, type: api, url: 'http://a.example/', key: id, {mapped}}}\n"
    was, now = ({"time format": {name: 1.0}} for name in ("time D/M/Y", "time Y-M-D"))
    patch = _patch(tmp_path, text, Drifted(4, "value_shift", "at", 1.0, {}, was, now))
    [kept] = patch.unchanged["quakes"]
    assert "out of times in another format is not known (seen before: time D/M/Y; now: time Y-M-D)" in kept.reason


def test_names_that_payloads_have_in_two_ways_are_left_to_people(tmp_path: Path) -> None:
    text = "sources:\n  - {name: quakes, type: api, url: 'http://a.example/', key: id, map: {value: a}}\n"
    payloads = [{"item.price": 1}, {"item": {"price": 1}}]
    patch = _patch(tmp_path, text, replace(_renamed("a -> item.price"), payloads=payloads))
    [kept] = patch.unchanged["quakes"]
    assert 'in two ways, "item.price" and item.price' in kept.reason


def test_two_renames_change_one_expression(tmp_path: Path) -> None:
    text = (
        "sources:\n  - {name: quakes, type: csv, path: q.csv, map: {title: {expr: \"join(' ', [a, b])\"}, value: a}}\n"
    )
    patch = _patch(tmp_path, text, _renamed("a -> x"), _renamed("b -> y"))
    assert "join(' ', [not_null(x, a), not_null(y, b)])" in patch.after


def test_two_renames_of_one_setting_are_both_told(tmp_path: Path) -> None:
    text = "sources:\n  - {name: quakes, type: csv, path: q.csv, map: {title: {expr: \"join(' ', [a, b])\"}}}\n"
    patch = _patch(tmp_path, text, replace(_renamed("a -> x"), id=1), replace(_renamed("b -> y"), id=2))
    [change] = patch.changes["quakes"]
    assert [each.id for each in change.findings] == [1, 2]
    assert "drift 1: a -> x, confidence 0.97 (name 0.90, values 0.96); drift 2: b -> y, conf" in patch.text


def test_a_line_with_several_settings_is_told_by_all_findings(tmp_path: Path) -> None:
    text = "sources:\n  - {name: quakes, type: csv, path: q.csv, map: {title: a, body: a, value: b}}\n"
    patch = _patch(tmp_path, text, replace(_renamed("a -> x"), id=1), replace(_renamed("b -> y"), id=2))
    [head] = [line for line in patch.text.splitlines() if line.startswith("@@")]
    assert [head.count("drift 1: a -> x,"), head.count("drift 2: b -> y,")] == [1, 1]


def test_a_field_renamed_twice_is_read_under_all_names(tmp_path: Path) -> None:
    text = "sources:\n  - {name: quakes, type: csv, path: q.csv, map: {value: mag}}\n"
    once = _patch(tmp_path, text, _renamed("mag -> magnitude"))
    twice = _patch(tmp_path, once.after, _renamed("magnitude -> m"))
    assert '{expr: "not_null(m, magnitude, mag)"}' in twice.after


def test_an_object_with_all_that_is_in_it_is_renamed(tmp_path: Path) -> None:
    patch = _patch(
        tmp_path, JSON.replace("    ignore: [properties.mag, properties.felt]\n", ""), _renamed("properties -> p")
    )
    assert "value: not_null(p, properties).mag" in patch.after
    assert 'tags: ["not_null(p, properties).mag", "not_null(p, properties).net"]' in patch.after


TYPES: list[tuple[str, str, str, Any, str | None]] = [
    ("value: at", "number", "text number", None, None),
    ("value: at", "text number", "number", None, None),
    ("title: at", "number", "text", None, None),
    ("attributes: {at: at}", "number", "object", None, None),
    ("value: at", "number", "text", None, "needs a number, and a text is none"),
    ("title: at", "text", "object", None, "an object has none that could be told"),
    ('value: {expr: "to_number(at)"}', "number", "text", None, "is an expression of yours"),
    ("occurred_at: at", "time", "text", None, "how to read one out of a text is not known"),
    ("occurred_at: at", "time", "number", (1.0, 5.0), "how to read one out of a number is not known"),
]


@pytest.mark.parametrize(("setting", "before", "after", "limits", "reason"), TYPES)
def test_another_type_that_needs_no_change_or_cannot_be_read(
    tmp_path: Path, setting: str, before: str, after: str, limits: Any, reason: str | None
) -> None:
    text = f"sources:\n  - {{name: quakes, type: api, url: 'http://a.example/', key: id, map: {{{setting}}}}}\n"
    patch = _patch(tmp_path, text, _retyped(before, after, limits))
    [kept] = patch.unchanged["quakes"]
    assert patch.text == ""
    assert kept.is_fine == (reason is None)
    assert reason is None or reason in kept.reason


TIMES: list[tuple[str, tuple[str, str, Any], str, list[tuple[Any, str]]]] = [
    ("occurred_at: at", ("time", "number", MILLISECONDS),
     "type(at) == 'number' && parse_time(at, 'epoch_ms') || at",
     [(1_517_443_200_000, "2018-02-01T00:00:00+00:00"), ("2018-02-01T00:00:00Z", "2018-02-01T00:00:00Z")]),
    ("occurred_at: at", ("time", "text number", MILLISECONDS),
     "regex(at, '^[0-9.]+$') && parse_time(at, 'epoch_ms') || at",
     [("1517443200000", "2018-02-01T00:00:00+00:00"), ("2018-02-01T00:00:00Z", "2018-02-01T00:00:00Z")]),
    ("occurred_at: {expr: \"parse_time(at, 'epoch_s')\"}", ("number", "time", None),
     "type(at) == 'number' && parse_time(at, 'epoch_s') || at",
     [(1_517_443_200, "2018-02-01T00:00:00+00:00"), ("2018-02-01", "2018-02-01"), (None, "")]),
    ("occurred_at: {expr: \"parse_time(at, 'epoch_s')\"}", ("number", "number", MILLISECONDS),
     "to_number(at) > `20000000000` && parse_time(at, 'epoch_ms') || parse_time(at, 'epoch_s')",
     [(1_517_443_200, "2018-02-01T00:00:00+00:00"), (1_517_443_200_000, "2018-02-01T00:00:00+00:00"), (None, "")]),
    ("occurred_at: {expr: \"parse_time(at, 'epoch_s')\"}", ("text number", "time", None),
     "to_number(at) && parse_time(at, 'epoch_s') || at",
     [("1517443200", "2018-02-01T00:00:00+00:00"), ("2018-02-01", "2018-02-01"), (None, ""), ("", "")]),
    *[("occurred_at: {expr: \"parse_time(at, 'epoch_s')\"}", (before, after, MILLISECONDS),
       "to_number(at) > `20000000000` && parse_time(at, 'epoch_ms') || parse_time(at, 'epoch_s')",
       [("1517443200", "2018-02-01T00:00:00+00:00"), ("1517443200000", "2018-02-01T00:00:00+00:00"), (None, "")])
      for before, after in (("text number", "text number"), ("number", "text number"), ("text number", "number"))],
]  # fmt: skip


@pytest.mark.parametrize(("setting", "change", "expected", "read"), TIMES)
def test_times_that_are_counted_now_or_no_more(
    tmp_path: Path, setting: str, change: tuple[str, str, Any], expected: str, read: list[tuple[Any, str]]
) -> None:
    text = "sources:\n  - name: quakes\n    type: api\n    url: http://a.example/\n    key: id\n    map:\n      "
    patch = _patch(tmp_path, f"{text}{setting}\n", _retyped(*change))
    [config] = patch.sources.values()
    assert expected in _occurred_at(config)
    for value, time in read:
        assert (evaluate(compile_expression(expected), {"at": value}) or "") == time
    again = _patch(tmp_path, patch.after, _retyped(*change))
    assert [again.text, [each.is_fine for each in again.unchanged["quakes"]]] == ["", [True]]


def _occurred_at(config: AnySourceConfig) -> str:
    assert config.map is not None
    target = config.map.occurred_at
    return target if isinstance(target, str) else str(getattr(target, "expr", ""))


def _patch(folder: Path, text: str, *findings: Drifted, **environ: str) -> Patch:
    path = folder / "kasparro.yaml"
    path.write_bytes(text.encode())
    return _patched(path, *findings, **environ)


def _patched(path: Path, *findings: Drifted, **environ: str) -> Patch:
    variables = {"HOST": "a.example"} | environ
    return patch_for(read_file(path, "kasparro.yaml", variables), {"quakes": findings}, variables)


def _renamed(subject: str) -> Drifted:
    return Drifted(3, "field_renamed", subject, 0.97, {"name": 0.9, "values": 0.96})


def _retyped(before: str, after: str, limits: Any) -> Drifted:
    kind = "value_shift" if before == after else "type_changed"
    sides = [{"types": {each: 1.0}, "scale": {}} for each in (before, after)]
    return Drifted(4, kind, "at", 1.0, {}, sides[0], sides[1], limits)
