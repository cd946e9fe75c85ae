"""What is remembered of a source's configuration: hashes that change with the meaning, and with nothing else."""

import pytest

from kasparro.core.errors import ConfigurationProblem, InvalidConfigurationError
from kasparro.schemas.configuration import (
    CsvSourceConfig,
    config_hash,
    identity,
    mapping_hash,
    mapping_text,
    parse_configuration,
)

BASE = "sources: [{name: a, type: csv, path: p.csv, key: [k, l], map: {title: t, value: v, attributes: {x: y}}}]"


def source_of(text: str, **environ: str) -> CsvSourceConfig:
    source = parse_configuration(text, environ).sources[0]
    assert isinstance(source, CsvSourceConfig)
    return source


def test_the_mapping_text_is_canonical() -> None:
    assert mapping_text(source_of(BASE)) == (
        '{"key":["k","l"],"map":{"attributes":{"x":"y"},"title":"t","value":"v"},"normalization":1,'
        '"null_values":[""],"timezone":"UTC"}'
    )
    assert mapping_hash(source_of(BASE)) == "77c37e4a68db0a69ec0cce939906c765"
    assert config_hash(source_of(BASE)) == "c5a6d53d3a67167a85f13d027b7917c6"


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + BASE,
        "sources: [{map: {attributes: {x: y}, value: v, title: t}, key: [k, l], path: p.csv, type: csv, name: a}]",
        BASE.replace("name: a", "name: 'a', timezone: UTC, null_values: [''], skip_rows: 0, ignore: []"),
    ],
)
def test_comments_order_and_spelled_out_defaults_change_no_hash(text: str) -> None:
    assert mapping_hash(source_of(text)) == mapping_hash(source_of(BASE))
    assert config_hash(source_of(text)) == config_hash(source_of(BASE))


@pytest.mark.parametrize(
    ("old", "new", "mapping_changes"),
    [
        ("title: t", "title: u", True),
        ("title: t", "body: t", True),
        ("key: [k, l]", "key: [l, k]", True),
        ("x: y", "y: x", True),
        ("key: [k", "null_values: ['', NA], key: [k", True),
        ("key: [k", "timezone: Europe/Berlin, key: [k", True),
        ("key: [k", "where: x, key: [k", False),
        ("key: [k", "ignore: [z], key: [k", False),
        ("key: [k", "delimiter: ';', key: [k", False),
        ("p.csv", "q.csv", False),
    ],
)
def test_hashes_change_with_the_meaning(old: str, new: str, *, mapping_changes: bool) -> None:
    changed = source_of(BASE.replace(old, new))
    assert config_hash(changed) != config_hash(source_of(BASE))
    assert (mapping_hash(changed) != mapping_hash(source_of(BASE))) == mapping_changes


@pytest.mark.parametrize("manner", ["schedule: {every: 5m}", "deadline: 2h"])
def test_when_and_how_long_a_source_is_read_changes_no_hash(manner: str) -> None:
    """So an open pass is gone on with, although somebody gives it more time."""
    changed = source_of(BASE.replace("key: [k", f"{manner}, key: [k"))
    assert (config_hash(changed), mapping_hash(changed)) == (
        config_hash(source_of(BASE)),
        mapping_hash(source_of(BASE)),
    )


def test_a_variable_in_the_path_changes_no_hash_and_one_in_the_mapping_does() -> None:
    path = BASE.replace("p.csv", '"${P}"')
    assert config_hash(source_of(path, P="1")) == config_hash(source_of(path, P="2"))
    mapping = BASE.replace("title: t", 'title: "${T}"')
    one, two = source_of(mapping, T="hunter2"), source_of(mapping, T="u")
    assert config_hash(one) != config_hash(two)
    assert mapping_hash(one) != mapping_hash(two)
    assert mapping_text(one) == mapping_text(two)
    assert '"title":"${T}"' in mapping_text(one)


def test_identity_is_type_and_key() -> None:
    assert identity(source_of(BASE)) == {"type": "csv", "key": ["k", "l"]}
    assert identity(source_of(BASE.replace("key: [k, l], ", ""))) == {"type": "csv", "key": []}


def test_one_error_carries_all_problems() -> None:
    error = InvalidConfigurationError(
        [ConfigurationProblem("k.yaml", 1, 2, "a.b", "wrong"), ConfigurationProblem("k.yaml", 3, 4, "", "no YAML")]
    )
    assert str(error) == "k.yaml:1:2: a.b: wrong\nk.yaml:3:4: no YAML"
    assert error.exit_code == 3
