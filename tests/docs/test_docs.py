"""What exists is documented, what is documented exists, and generated pages are fresh."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from kasparro.core import errors
from kasparro.core.settings import variable_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECRET_NEIGHBOURS = re.compile(r"/work/|/tmp/|pypi\.org|farm-|shared/design")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def command_names(generator: ModuleType) -> list[str]:
    import typer.main

    from kasparro.cli.main import app

    return [name for name, _ in generator.commands(typer.main.get_command(app))]


def test_generated_pages_are_fresh(generator: ModuleType) -> None:
    assert generator.stale_pages() == []


def test_every_command_is_documented(command_names: list[str]) -> None:
    page = read("docs/reference/cli.md")
    assert [name for name in command_names if f"\n## {name}\n" not in page] == []


@pytest.mark.parametrize("name", variable_names())
def test_every_setting_is_documented_with_its_meaning(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| .* \| \S.+ \|$", read("docs/reference/settings.md"), re.MULTILINE)
    assert re.search(rf"^#?{name}=", read(".env.example"), re.MULTILINE)


def test_env_example_names_only_settings_that_exist() -> None:
    assert set(re.findall(r"^#?([A-Z_]+)=", read(".env.example"), re.MULTILINE)) == set(variable_names())


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {
        int(code) for code in re.findall(r"^\| (\d+) \|", read("docs/reference/exit-codes.md"), re.MULTILINE)
    } == codes


def test_every_error_code_is_documented_once(generator: ModuleType) -> None:
    codes = sorted(error.code for error in generator.error_classes(errors.KasparroError))
    assert len(codes) == len(set(codes))
    assert re.findall(r"^\| `(\w+)` \|", read("docs/reference/errors.md"), re.MULTILINE) == codes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_pages_exist(page: Path, command_names: list[str]) -> None:
    groups = {name.rsplit(" ", 1)[0] for name in command_names if name.count(" ") == 2}
    first_words = {name.split()[1] for name in command_names}
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"(?:^\$ |`)(kasparro [a-z][^`\n]*)", text, re.MULTILINE):
        words = [word for word in line.split() if re.fullmatch(r"[a-z|]+", word)]
        assert words[1] in first_words, line
        if " ".join(words[:2]) in groups and len(words) > 2:
            for choice in words[2].split("|"):
                assert f"{words[0]} {words[1]} {choice}" in command_names, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_in_pages_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z -]+):.*##", read("Makefile"), re.MULTILINE))
    known = {word for target in targets for word in target.split()}
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^    |`|^\$ )make ([a-z-]+)", text, re.MULTILINE)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_no_place_outside_the_project(page: Path) -> None:
    assert SECRET_NEIGHBOURS.findall(page.read_text(encoding="utf-8").replace("/tmp is", "")) == []


def test_every_route_stands_in_the_readme_and_is_explained() -> None:
    import json

    described = set(json.loads(read("docs/openapi.json"))["paths"])
    named = set(
        re.findall(r"[ `](/[a-z{}./-]+)[`,? ]", read("README.md").partition("## Routes")[2].partition("\n## ")[0])
    )
    assert described == named & described
    explained = read("docs/api.md")
    assert [path for path in described if path.partition("/{")[0] not in explained] == []


def test_every_command_stands_in_the_readme(command_names: list[str]) -> None:
    table = read("README.md").partition("## Commands")[2].partition("\n## ")[0]
    assert [name for name in command_names if f"{name.removeprefix('kasparro ')}`" not in table] == []


def test_every_attack_of_the_table_is_tried_by_a_test_that_exists() -> None:
    table = read("docs/security.md").partition("## Attacks that are tried")[2]
    rows = [row for row in re.findall(r"^\|.*\|$", table, re.MULTILINE) if not row.startswith(("| attack", "|---"))]
    assert len(rows) >= 30
    for row in rows:
        named = re.search(r"\| `([\w/]+\.py)::(test_\w+)` \|$", row)
        assert named is not None, row
        assert re.search(rf"^(async )?def {named[2]}\(", read(f"tests/{named[1]}"), re.MULTILINE), row


def test_limits_of_the_security_page_are_those_of_the_code() -> None:
    from kasparro.api import authentication, bodies, gate, limits
    from kasparro.core import serving

    page = read("docs/security.md")
    assert f"{gate.MAX_URI_BYTES // 1024} KiB | 414" in page
    assert f"{gate.MAX_PARAMETERS} | 400" in page
    assert f"{gate.MAX_HEADER_BYTES // 1024} KiB; 100 of them" in page
    assert f"{bodies.MAX_BODY_BYTES // 1024} KiB of `application/json`, within {bodies.BODY_SECONDS:.0f} s" in page
    assert f"{gate.BAD_KEYS_PER_MINUTE} a minute" in page
    assert f"for {limits.TRACKED_CALLERS:,} callers at most" in page
    assert f"{serving._HTTP1.header_read_timeout // 1000} s | the connection ends" in page
    assert authentication.FRESH_SECONDS == 5
    assert "is believed for five seconds" in page


def test_glossary_defines_each_word_once_and_in_order() -> None:
    words = re.findall(r"^\*\*(.+?)\*\*:", read("docs/glossary.md"), re.MULTILINE)
    assert words == sorted(set(words), key=str.lower)


def test_decisions_are_all_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = {page.name for page in folder.glob("[0-9]*.md")}
    assert set(re.findall(r"\]\(([0-9][^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"))) == pages


def test_every_dependency_has_its_line_in_the_decisions() -> None:
    import tomllib

    document = tomllib.loads(read("pyproject.toml"))
    groups = document["dependency-groups"].values()
    wanted = document["project"]["dependencies"] + [item for group in groups for item in group if isinstance(item, str)]
    names = {re.split(r"[\[<>=~;! ]", item, maxsplit=1)[0] for item in wanted}
    rows = re.findall(r"^\| ([^|]+) \|", read("docs/decisions/0001-records-and-dependencies.md"), re.MULTILINE)
    listed = {name.strip() for row in rows for name in row.split(",")}
    assert names - listed == set()


def test_requirements_name_no_place_to_download_from() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)", text, re.MULTILINE), path
        assert re.search(r"--hash=sha256:", text), path


def test_every_promise_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\|.*\|$", read("docs/guarantees.md"), re.MULTILINE)
    promises = [row for row in rows if not row.startswith(("| promise", "|---"))]
    assert len(promises) >= 40
    for row in promises:
        named = re.search(r"\| `([\w/]+\.py)::(test_\w+)` \|$", row)
        assert named is not None, row
        assert re.search(rf"^(async )?def {named[2]}\(", read(f"tests/{named[1]}"), re.MULTILINE), row
