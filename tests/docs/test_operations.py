"""docs/operations.md says of every alert and every exit code what it means, where to look first, and what to do."""

import re
from pathlib import Path

import pytest
import yaml

from kasparro.core import errors
from kasparro.schemas.alerts import ALERT_KINDS
from kasparro.workers.messages import FIRST_LOOK

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]
EXIT_CODES = sorted(value for name, value in vars(errors).items() if name.startswith("EXIT_"))
KINDS = [*ALERT_KINDS, "test"]
NAMES = [rule["alert"] for group in RULES for rule in group["rules"]]
TITLES = [*KINDS, *NAMES, *(f"Exit code {code}" for code in EXIT_CODES)]


def anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace(":", "").replace(",", "")


def section(title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title}"
    return found[1]


@pytest.mark.parametrize("title", TITLES)
def test_each_alert_and_exit_code_has_meaning_first_look_and_remedy(title: str) -> None:
    parts = re.findall(r"^- \*\*(Means|First look|Remedy)\*\*: \S", section(title), re.MULTILINE)
    assert parts == ["Means", "First look", "Remedy"]


def test_there_is_no_section_for_what_does_not_exist() -> None:
    assert re.findall(r"^### (.+)$", PAGE, re.MULTILINE) == TITLES


def test_contents_lead_to_every_section() -> None:
    contents = PAGE.partition("**Contents**")[2].partition("\n## ")[0]
    headings = re.findall(r"^###? (.+)$", PAGE, re.MULTILINE)
    assert re.findall(r"\(#([^)]+)\)", contents) == [anchor(heading) for heading in headings]


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {anchor(heading) for heading in re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\(#([^)]+)\)", PAGE)) <= anchors


@pytest.mark.parametrize("kind", KINDS)
def test_first_look_of_a_message_is_the_one_of_its_section(kind: str) -> None:
    command = FIRST_LOOK[kind].format(run_id="RUN", source="SOURCE")
    assert f"`{command}" in section(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_commands_of_messages_exist(kind: str) -> None:
    import typer.main

    from kasparro.cli.main import app

    words = FIRST_LOOK[kind].split()
    command = typer.main.get_command(app)
    for word in words[1:]:
        inner = getattr(command, "commands", None)
        if inner is None:
            break
        assert word in inner, FIRST_LOOK[kind]
        command = inner[word]


def test_the_readme_leads_here() -> None:
    assert "(docs/operations.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
