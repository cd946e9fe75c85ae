"""What is no configuration at all: syntax errors, odd YAML, unreadable files; each with its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.errors import ConfigurationError, InvalidConfigurationError
from kasparro.schemas.configuration import load_configuration, parse_configuration
from kasparro.schemas.configuration.document import parse_document


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(text, {})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "kasparro.yaml:1:1: the file is empty"),
        ("# nothing\n", "kasparro.yaml:1:1: the file is empty"),
        ("- a", 'kasparro.yaml:1:1: must be a mapping with the field "sources"'),
        ("sources: []", "kasparro.yaml:1:1: sources: must not be empty"),
        ("sources: {}", "kasparro.yaml:1:1: sources: must be a list"),
        ("sources: [3]", "kasparro.yaml:1:11: sources[0]: must be a mapping"),
        ("sources: &a [*a]", "kasparro.yaml:1:10: sources[0]: an alias may not contain itself"),
        ("sources:\n\t- b", "kasparro.yaml:2:1: a tab; YAML is indented with spaces"),
        ("sources: [", "kasparro.yaml:1:11: not valid YAML: "),
        ("a: 1\n---\nb: 2", "kasparro.yaml:2:1: not valid YAML: "),
        ("a: \x01", "kasparro.yaml:1:4: character U+0001 is not allowed in YAML"),
        ("[" * 500, "kasparro.yaml:1:1: nested too deeply"),
        (
            "sources: !!python/name:os.system x",
            "kasparro.yaml:1:10: sources: tag !python/name:os.system is not supported",
        ),
        ("sources: [1]\n? [a]\n: b", "kasparro.yaml:2:3: a key must be text"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_place(text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(text))


def test_aliases_that_grow_without_bound_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("more than 100000 values, aliases included" in problem for problem in problems_of("\n".join(lines)))


def test_a_file_is_named_as_people_would_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k.yaml").write_bytes(b"\xef\xbb\xbfsources: []")
    with pytest.raises(InvalidConfigurationError, match=r"^k\.yaml:1:1: sources: must not be empty$"):
        load_configuration(tmp_path / "k.yaml", {})
    (tmp_path / "k.yaml").write_bytes(b"a: b\nc: \xff")
    with pytest.raises(InvalidConfigurationError, match=r"^k\.yaml:2:4: not UTF-8 text$"):
        load_configuration(tmp_path / "k.yaml", {})
    with pytest.raises(ConfigurationError, match=r"^gone\.yaml: there is no such configuration file$"):
        load_configuration(tmp_path / "gone.yaml", {})
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory$"):
        load_configuration(tmp_path, {})


@given(st.text())
def test_any_text_is_a_configuration_or_a_list_of_problems(text: str) -> None:
    document = parse_document(text)
    if document.value is None:
        assert document.findings or text.strip()
    assert problems_of(text)
