"""Every example is a valid configuration, whose sources could be built; and says that it is untried."""

from pathlib import Path

import pytest

from kasparro.ingestion.registry import build_transformer, check_settings
from kasparro.schemas.configuration import load_configuration

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
ENVIRON = {"GITHUB_TOKEN": "dummy-token", "COINGECKO_API_KEY": "dummy-key"}


def test_there_are_examples_and_all_are_listed() -> None:
    assert len(EXAMPLES) == 5
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"]({path.name})" not in readme] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid(path: Path) -> None:
    for source in load_configuration(path, ENVIRON).sources:
        check_settings(source, path.parent)
        build_transformer(source)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_that_it_is_untried(path: Path) -> None:
    assert "# UNTRIED HERE:" in path.read_text(encoding="utf-8")
