"""The configuration file: what it may say, and every problem at once with line, column, field and the nearest name."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.errors import InvalidConfigurationError
from kasparro.schemas.configuration import (
    ConstantTarget,
    CsvSourceConfig,
    ExpressionTarget,
    parse_configuration,
)
from kasparro.schemas.configuration.export import shown_configuration

SOURCE = "sources:\n- {name: a, type: csv, path: a.csv, map: {title: t}"
SECRET = "hunter2"
NO_NAME = "not a valid name: small letters, digits, - and _, beginning with a letter, at most 63"
NO_ZONE = "not a time zone of the IANA database, such as UTC or Europe/Berlin"
TYPES = "this version reads api, csv, rss"
NO_TARGET = "must be a column's name, {expr: JMESPath} or {value: constant}"


def source_of(text: str, **environ: str) -> CsvSourceConfig:
    source = parse_configuration(text, environ).sources[0]
    assert isinstance(source, CsvSourceConfig)
    return source


def problems_of(text: str, **environ: str) -> list[str]:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(text, environ)
    return [str(problem) for problem in caught.value.problems]


def test_a_full_source_is_read() -> None:
    source = source_of("""
sources:
  - name: trades
    type: csv
    path: data/trades*.csv
    key: [venue, id]
    delimiter: tab
    header: true
    skip_rows: 2
    null_values: [NA, ""]
    timezone: Europe/Berlin
    where: kind == 'trade'
    ignore: [fetched]
    reject_limit: {share: 0.1, min_records: 5}
    map:
      title: name
      tags: [a, {expr: "[b, c]"}]
      value: price
      unit: {value: EUR}
      attributes: {lot: {value: 10}, exact: {value: 1.50}, text: {value: "10"}, on: {value: true}}
""")
    assert (source.key, source.delimiter, source.header, source.skip_rows) == (("venue", "id"), "\t", True, 2)
    assert source.null_values == ("", "NA")
    assert (source.reject_limit.share, source.reject_limit.min_records) == (0.1, 5)
    assert source.map.tags == ("a", ExpressionTarget(expr="[b, c]"))
    assert isinstance(source.map.attributes, dict)
    constants = {
        name: target.value for name, target in source.map.attributes.items() if isinstance(target, ConstantTarget)
    }
    assert constants == {"lot": 10, "exact": Decimal("1.50"), "text": "10", "on": True}
    assert str(constants["exact"]) == "1.50"
    assert constants["on"] is True


def test_scalars_are_text_where_text_is_needed() -> None:
    source = source_of(
        "sources: [{name: a, type: csv, path: 2013-01-01, key: [no, 010, 1e3, 12:30], map: {title: yes, body: .inf}}]"
    )
    assert source.path == "2013-01-01"
    assert source.key == ("no", "010", "1e3", "12:30")
    assert (source.map.title, source.map.body) == ("yes", ".inf")


def test_every_problem_is_reported_at_once_in_the_order_of_lines() -> None:
    assert problems_of("""
sources:
  - name: Flights
    type: cvs
    path: ""
    delimeter: ";"
    timezone: Europe/Berln
    reject_limit: {share: 2, min: 3}
    map:
      titel: x
      value: {valu: 3}
      attributes: {a: ~, b: [1]}
  - name: b
    type: xml
    name: c
    header: perhaps
    skip_rows: few
    null_values: [null]
""") == [
        f'kasparro.yaml:3:5: sources[0].name: "Flights" is {NO_NAME}',
        f'kasparro.yaml:4:5: sources[0].type: unknown source type "cvs"; {TYPES}; did you mean "csv"?',
        "kasparro.yaml:5:5: sources[0].path: must not be empty",
        'kasparro.yaml:6:5: sources[0].delimeter: unknown field; did you mean "delimiter"?',
        f'kasparro.yaml:7:5: sources[0].timezone: "Europe/Berln" is {NO_ZONE}; did you mean "Europe/Berlin"?',
        "kasparro.yaml:8:20: sources[0].reject_limit.share: must be less than or equal to 1",
        "kasparro.yaml:8:30: sources[0].reject_limit.min: unknown field; known are share, min_records",
        'kasparro.yaml:10:7: sources[0].map.titel: unknown field; did you mean "title"?',
        f"kasparro.yaml:11:7: sources[0].map.value: {NO_TARGET}",
        'kasparro.yaml:11:15: sources[0].map.value.valu: unknown field; did you mean "value"?',
        f"kasparro.yaml:12:20: sources[0].map.attributes.a: {NO_TARGET}",
        f"kasparro.yaml:12:26: sources[0].map.attributes.b: {NO_TARGET}",
        "kasparro.yaml:13:5: sources[1].path: required, but missing",
        "kasparro.yaml:13:5: sources[1].map: required, but missing",
        f'kasparro.yaml:14:5: sources[1].type: unknown source type "xml"; {TYPES}',
        "kasparro.yaml:15:5: sources[1].name: given twice; first on line 13",
        "kasparro.yaml:16:5: sources[1].header: must be true or false",
        "kasparro.yaml:17:5: sources[1].skip_rows: must be a whole number",
        'kasparro.yaml:18:19: sources[1].null_values[0]: is empty; write "" for the empty text, or "null" for the text',
    ]


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ("ignore: [x]", "sources[0]: ignore needs key: without a key, all columns together name a record"),
        (
            "deletes: {tombstone: gone}",
            "sources[0]: deletes.tombstone needs key: without a key, all columns together name a record",
        ),
        ("deletes: {}", "sources[0].deletes: needs tombstone, snapshot: true, or both"),
        ("deletes: {tombstone: x, max_share: 0.1}", "sources[0].deletes: max_share goes with snapshot: true"),
        ("deletes: {snapshot: true, max_share: 2}", "sources[0].deletes.max_share: must be less than or equal to 1"),
        ("key: [a, a]", 'sources[0].key: "a" is given twice'),
        ("key: []", "sources[0].key: must not be empty"),
        ("key: k, columns: [a]", 'sources[0]: key names "k", which is not among columns'),
        (
            "delimiter: ';', comment: ';'",
            "sources[0]: delimiter, quotechar, escapechar and comment must be different characters",
        ),
        ("delimiter: ab", "sources[0].delimiter: must have at most 1 character"),
        (
            "encoding: hex",
            'sources[0].encoding: "hex" is not a text encoding that Python knows, such as utf-8 or windows-1252',
        ),
        ("reject_limit: 3", "sources[0].reject_limit: must be a mapping"),
        ("where: ''", "sources[0].where: a JMESPath expression cannot be empty"),
        ("timezone: ../etc/passwd", "is not a time zone of the IANA database"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(extra: str, problem: str) -> None:
    [found] = problems_of(f"{SOURCE}, {extra}}}")
    assert problem in found


def test_a_constant_must_suit_its_field() -> None:
    mapping = "{value: {value: x}, occurred_at: {value: soon}, unit: {value: [1]}}"
    text = f"sources: [{{name: a, type: csv, path: p, map: {mapping}}}]"
    assert [problem.partition("sources[0].")[2] for problem in problems_of(text)] == [
        'map.value: "x" is not a decimal number',
        'map.occurred_at: "soon" is not an ISO 8601 time',
        "map.unit.value: must be a text, a number, true or false",
    ]


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("foo[?", "not a JMESPath expression: the expression ends too early\n    foo[?\n         ^"),
        ("a || || b", "not a JMESPath expression: unexpected '||'\n    a || || b\n         ^"),
        (
            "x.splt(y)",
            'not a JMESPath expression: unknown function splt(); did you mean "split"?\n    x.splt(y)\n      ^',
        ),
        ("split(x)", "not a JMESPath expression: split() takes 2 arguments, not 1\n    split(x)\n    ^"),
    ],
)
def test_an_expression_is_shown_with_a_caret_at_the_fault(expression: str, shown: str) -> None:
    [problem] = problems_of(f'{SOURCE}, where: "{expression}"}}')
    assert problem == f"kasparro.yaml:2:54: sources[0].where: {shown}"


def test_names_are_unique() -> None:
    twice = (
        "sources:\n- {name: a, type: csv, path: p, map: {title: t}}\n- {name: a, type: csv, path: q, map: {title: t}}"
    )
    assert problems_of(twice) == ['kasparro.yaml:3:4: sources[1].name: another source is called "a" (line 2)']


def test_variables_are_filled_in_after_parsing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    text = 'sources: [{name: a, type: csv, path: "${DIR}/${NAME:-x}/${F}/$${Y}.csv", map: {title: t}}]'
    source = source_of(text, DIR="a, key: [b]", NAME="", F_FILE=str(tmp_path / "secret"))
    assert source.path == "a, key: [b]/x/from-file/${Y}.csv"
    assert source.key is None


def test_what_a_variable_holds_shows_nowhere() -> None:
    text = """
sources:
- name: a
  type: csv
  path: ${P}
  timezone: ${P}
  columns: ["${P}", "${P}"]
  where: ${P}
  skip_rows: ${P}
  reject_limit: {share: "${P}"}
  map: {title: t, value: {value: "${P}"}}
"""
    problems = problems_of(text, P=f"{SECRET}(")
    assert [
        problem.partition(": has an unusable value (it comes from P")[0].split(".")[-1] for problem in problems
    ] == [
        "timezone",
        "columns",
        "where",
        "skip_rows",
        "share",
        "value",
    ]
    assert SECRET not in "".join(problems)
    configuration = parse_configuration(f"{SOURCE}, encoding: '${{E:-utf-8}}', comment: '${{P}}'}}", {"P": "#"})
    assert "#" not in repr(configuration)
    assert shown_configuration(configuration)["sources"][0]["comment"] == "${P}"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("${GONE}", "environment variable GONE is not set (nor GONE_FILE)"),
        ("${TWICE}", "environment variables TWICE and TWICE_FILE are both set; keep one"),
        ("${MOUNTED}", "the file that MOUNTED_FILE names cannot be read: No such file or directory"),
        ("${9}", '"${9}" is not a variable; write ${NAME} or ${NAME:-default}, or $${ for the text'),
        ("${open", '"${open" is not a variable; write ${NAME} or ${NAME:-default}, or $${ for the text'),
    ],
)
def test_a_variable_that_cannot_be_filled_in_is_named(path: str, problem: str) -> None:
    environ = {"TWICE": SECRET, "TWICE_FILE": f"/{SECRET}", "MOUNTED_FILE": f"/{SECRET}"}
    text = f'sources:\n- name: a\n  type: csv\n  path: "{path}"\n  map: {{title: t}}'
    assert problems_of(text, **environ) == [f"kasparro.yaml:4:3: sources[0].path: {problem}"]


@pytest.mark.parametrize("field", ["name", "key", "type"])
def test_identity_takes_no_variables(field: str) -> None:
    fields = {"name": "a", "type": "csv", "key": "k"} | {field: "${V}"}
    text = (
        "sources: [{"
        + ", ".join(f'{name}: "{value}"' for name, value in fields.items())
        + ", path: p, map: {title: t}}]"
    )
    problems = problems_of(text, V={"name": "a", "type": "csv", "key": "k"}[field])
    assert len(problems) == 1
    assert problems[0].endswith("must be written out: it is the source's identity (found variable V)")


@given(st.text())
def test_a_variable_is_never_parsed(value: str) -> None:
    source = source_of("sources: [{name: a, type: csv, path: 'x${V:-}', map: {title: t}}]", V=value)
    assert source.path == f"x{value}"
