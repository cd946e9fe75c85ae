"""What may be said about quality checks, and that all that is wrong with them is said at its place."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from kasparro.core.errors import InvalidConfigurationError
from kasparro.ingestion.checks import compile_checks
from kasparro.schemas.configuration import AnySourceConfig, config_hash, parse_configuration
from kasparro.schemas.configuration.checks import MOST_CHECKS
from kasparro.schemas.configuration.patterns import checked_pattern

CSV = "name: s, type: csv, path: s.csv, key: id, timezone: Europe/Berlin"
MAP = "map: {title: t, value: v, category: c, occurred_at: o, url: u, tags: [x], attributes: {depth: d}}"
NO_PATTERN = "not a regular expression as PostgreSQL reads it: "
KNOWN = "not_null, unique, in, between, matches, fresh_within, row_count"


def source_of(*checks: str, source: str = f"{CSV}, {MAP}") -> AnySourceConfig:
    return parse_configuration(f"sources: [{{{source}, checks: [{', '.join(checks)}]}}]", {}).sources[0]


def wrong(check: str) -> str:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(f"sources:\n- {{{CSV}, {MAP},\n   checks: [\n    {{{check}}}]}}", {})
    (problem,) = caught.value.problems
    assert problem.line == 4
    return f"{problem.field.removeprefix('sources[0].checks[0]')}: {problem.message}"


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ("type: notnull, field: title", f'.type: unknown type "notnull"; known are {KNOWN}; did you mean "not_null"?'),
        ("field: title", f".type: required, but missing; known are {KNOWN}"),
        ("type: not_null", ".field: required, but missing"),
        ("type: not_null, field: []", ".field: must not be empty"),
        ("type: not_null, field: titel", '.field[0]: there is no field "titel" in a record; did you mean "title"?'),
        ("type: not_null, field: body", ".field: the source maps nothing to body: no record has it"),
        (
            "type: matches, field: attributes.dept, pattern: a",
            '.field: the source maps nothing to the attribute "dept"; did you mean "depth"?',
        ),
        ("type: not_null, field: title, level: error", ".level: must be 'warn' or 'fail', not \"error\""),
        ("type: not_null, field: title, max_share: 1", ".max_share: must be less than 1"),
        (
            "type: unique, field: record_key",
            ".field[0]: record_key names a record: every one has it, and no two have the same",
        ),
        ("type: in, field: category", ".values: required, but missing"),
        ("type: in, field: category, values: []", ".values: must not be empty"),
        ("type: in, field: value, values: [1, x]", ': "x" is not a decimal number'),
        ("type: in, field: occurred_at, values: [a]", None),
        ("type: between, field: value", ": needs min, max, or both"),
        ("type: between, field: value, min: 3, max: 1e0", ": min is above max: nothing is between them"),
        ("type: between, field: value, max: now", '.max: "now" is not a decimal number'),
        ("type: between, field: occurred_at, min: now", '.min: "now" is not an ISO 8601 time'),
        ("type: between, field: occurred_at, min: 1.5", '.min: "1.5" is not an ISO 8601 time'),
        ("type: between, field: title, min: 1", None),
        ("type: matches, field: url", ".pattern: required, but missing"),
        ("type: fresh_within, max_age: 0s", ".max_age: must be longer than nothing"),
        ("type: fresh_within, max_age: 1h, field: value", None),
        ("type: row_count", ": needs min, max, or both"),
        ("type: row_count, min: 2, max: 1", ": min is above max: nothing is between them"),
        ("type: row_count, minimum: 2", '.minimum: unknown field; did you mean "min"?'),
    ],
)
def test_what_is_wrong_with_a_check_is_said_at_its_place(check: str, problem: str | None) -> None:
    said = wrong(check)
    assert said == problem or (problem is None and said.startswith(".field: ")), said


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\bword\b", r"\b is a backspace; the edge of a word is \y"),
        (r"a\B", r"\B is a backslash; what is no edge of a word is \Y"),
        (r"a\z", r"there is no \z"),
        (r"[\p]", r"there is no \p"),
        ("a\\", "it ends with a backslash"),
        ("(?P<year>[0-9])", "a group cannot have a name"),
        ("(?<year>[0-9])", "a group cannot have a name"),
        ("(?>a)", "there are no atomic groups"),
        ("a++", "a quantifier cannot follow another"),
        ("(a", "missing ), unterminated subpattern at position 0"),
        ("[z-a]", "bad character range z-a at position 1"),
        ("a\x00", "PostgreSQL stores neither NUL nor half of a character"),
    ],
)
def test_pattern_that_is_none_of_postgresql_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        checked_pattern(pattern)
    assert str(caught.value) == f"{NO_PATTERN}{reason}\n    {pattern}"


@pytest.mark.parametrize(
    "pattern",
    [
        r"^https?://\S+$", r"\yfoo\y", r"\mfoo\M", "[[:alpha:]]+", "[[:<:]]a", "[]a]", "[^]a]", r"[\w.-]+@[\w.-]+",
        "(?i)a", "(?<=ab|c)d", "(?:a|b){2,3}?", r"\Aa\Z", "***=(a", "a{2}", r"\u00e9", r"[\]]", "(?=a)a", r"(a)\1",
        r"\x41", "}+",
    ],
)  # fmt: skip
def test_pattern_of_postgresql_is_taken_though_python_may_not_read_it(pattern: str) -> None:
    assert checked_pattern(pattern) == pattern


@given(st.text(alphabet=r"ab[](){}*+?\^$|.:=1,-<>!PyYmdw", max_size=12))
def test_pattern_is_taken_or_refused_and_nothing_else(pattern: str) -> None:
    with suppress(PydanticCustomError):
        assert checked_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("check", "name"),
    [
        ("{type: not_null, field: [title, value]}", "title, value not null"),
        ("{type: unique, field: title}", "title unique"),
        ("{type: in, field: category, values: [a, 010, no, x, y, z]}", "category in a, 010, no, x, y and 1 more"),
        ("{type: between, field: value, min: -1}", "value at least -1"),
        ("{type: between, field: value, max: 1e1}", "value at most 1e1"),
        ("{type: between, field: occurred_at, min: 2020-01-01, max: now}", "occurred_at between 2020-01-01 and now"),
        ("{type: matches, field: url, pattern: ^h}", "url matches ^h"),
        ("{type: fresh_within, max_age: 90m}", "occurred_at within 1h30m"),
        ("{type: row_count, min: 5, max: 7}", "row count between 5 and 7"),
    ],
)
def test_check_is_named_in_words(check: str, name: str) -> None:
    assert [each.name for each in compile_checks(source_of(check))] == [name]


def test_checks_leave_the_open_pass_alone_and_are_told_apart() -> None:
    plain, checked = source_of(), source_of("{type: row_count, min: 1}")
    assert config_hash(plain) == config_hash(checked)
    bounds = ("min: 1", "min: 2", "min: 1, level: warn")
    prints = {compile_checks(source_of(f"{{type: row_count, {each}}}"))[0].fingerprint for each in bounds}
    assert len(prints) == len(bounds)
    zones = [compile_checks(source_of("{type: between, field: occurred_at, min: 2020-01-01}"))[0]]
    zones.append(compile_checks(source_of("{type: between, field: occurred_at, min: 2019-12-31T23:00:00Z}"))[0])
    assert zones[0].low == zones[1].low


def test_fields_that_a_feed_fills_by_itself_need_no_map() -> None:
    feed = "name: n, type: rss, url: https://x.org/feed"
    assert source_of("{type: not_null, field: [title, url, occurred_at]}", source=feed).checks
    with pytest.raises(InvalidConfigurationError, match="the source maps nothing to value"):
        source_of("{type: not_null, field: value}", source=feed)
    every = f"{CSV}, map: {{attributes: '*'}}"
    assert source_of("{type: not_null, field: attributes.whatever}", source=every).checks


def test_there_is_an_end_to_how_many_checks_a_source_has() -> None:
    with pytest.raises(InvalidConfigurationError):
        source_of(*["{type: row_count, min: 1}"] * (MOST_CHECKS + 1))


def test_what_a_variable_gives_is_not_stored_with_a_check() -> None:
    checks = "checks: [{type: in, field: category, values: ['${KIND}']}]"
    text = f"sources: [{{{CSV}, {MAP}, {checks}}}]"
    compiled: list[Any] = [
        compile_checks(parse_configuration(text, {"KIND": kind}).sources[0])[0] for kind in ("spruce", "larch tree")
    ]
    assert [each.definition["values"] for each in compiled] == [["${KIND}"]] * 2
    assert [each.name for each in compiled] == ["category in ${KIND}"] * 2
    assert compiled[0].fingerprint != compiled[1].fingerprint
    assert [each.texts for each in compiled] == [("spruce",), ("larch tree",)]
