"""`kasparro check`, `sample` and `config`, as they answer on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kasparro.cli.main import app

CONFIGURATION = """
sources:
  - name: people
    type: csv
    path: "${FILES:-people}*.csv"
    key: id
    where: kind != 'robot'
    map: {title: name, value: age, attributes: {town: twon}}
  - {name: nothing, type: csv, path: nothing.csv, map: {title: t}}
"""
ROWS = "id,name,age,kind,town\n1,Ann,34,person,Ulm\n2,Rob,1,robot,Ulm\n3,Bob,old,person,Ulm\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION)
    (tmp_path / "people.csv").write_text(ROWS)
    return tmp_path


def ran(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def answered(*arguments: str, exit_code: int = 0) -> Any:
    return json.loads(ran(*arguments, "--json", exit_code=exit_code))


def test_check_sums_up_each_source_and_warns(folder: Path) -> None:
    answer = answered("check")
    assert answer["valid"] is True
    assert [(source["name"], source["path"], source["files"]) for source in answer["sources"]] == [
        ("people", "${FILES:-people}*.csv", 1),
        ("nothing", "nothing.csv", 0),
    ]
    assert [source["warnings"] for source in answer["sources"]] == [
        [
            "records that `where` leaves out are not kept: they cannot be replayed when it changes",
            'people.csv has no column "twon"; did you mean "town"?',
        ],
        [f"no file matches 'nothing.csv' in {folder}"],
    ]
    assert 'warning: people: people.csv has no column "twon"; did you mean "town"?' in ran("check")


PRIVATE = """
sources:
  - {name: here, type: api, url: "http://localhost:81/token-hunter2", key: id, map: {title: t}}
  - {name: allowed, type: api, url: "http://127.0.0.1:81/a", allow_private: true, key: id, map: {title: t}}
  - {name: feeds, type: rss, urls: ["https://example.org/f", "http://10.1.2.3/f", "http://[fd00::1]/f"]}
alerts:
  hooks:
    - {name: pager, type: slack, url: "http://127.0.0.1:9000/hunter2"}
    - {name: team, type: slack, url: "https://example.org/hunter2"}
"""


def test_check_warns_of_addresses_that_would_be_refused(folder: Path) -> None:
    (folder / "kasparro.yaml").write_text(PRIVATE)
    answer = answered("check")
    refused = "its URL has a {} address, which is refused; `allow_private: true` lets it be reached"
    assert {source["name"]: source["warnings"] for source in answer["sources"]} == {
        "here": [refused.format("loopback")], "allowed": [], "feeds": [refused.format("private")],
    }  # fmt: skip
    assert answer["warnings"] == [f"alerts: hook pager: {refused.format('loopback')}"]
    assert f"warning: alerts: hook pager: {refused.format('loopback')}" in ran("check")


def test_check_lists_every_problem_and_exits_with_3(folder: Path) -> None:
    (folder / "kasparro.yaml").write_text("sources:\n- {nam: a}\n")
    answer = answered("check", exit_code=3)
    assert answer["valid"] is False
    assert [(problem["line"], problem["field"]) for problem in answer["problems"]] == [
        (2, "sources[0].name"),
        (2, "sources[0].type"),
        (2, "sources[0].path"),
        (2, "sources[0].map"),
        (2, "sources[0].nam"),
    ]
    assert 'kasparro.yaml:2:4: sources[0].nam: unknown field; did you mean "name"?' in ran("check", exit_code=3)


def test_sample_shows_raw_and_normalized(folder: Path) -> None:
    (folder / "kasparro.yaml").write_text(CONFIGURATION.replace("twon", "town"))
    answer = answered("sample", "people")
    assert list(answer["detected"]) == ["people.csv"]
    accepted, filtered, rejected = answer["records"]
    assert accepted["raw"] == {"id": "1", "name": "Ann", "age": "34", "kind": "person", "town": "Ulm"}
    assert accepted["normalized"] == {"record_key": "1", "title": "Ann", "value": "34", "attributes": {"town": "Ulm"}}
    assert (filtered["locator"], filtered["outcome"]) == ("people.csv:3", "filtered")
    assert rejected["defects"] == [
        {"code": "invalid_decimal", "field": "value", "message": '"old" is not a decimal number'}
    ]
    shown = ran("sample", "people", "--limit", "1")
    assert "attributes.town" in shown
    assert "people.csv:3" not in shown
    assert sorted(path.name for path in folder.iterdir()) == ["kasparro.yaml", "people.csv"]


@pytest.mark.usefixtures("folder")
def test_sample_of_an_unknown_source_names_the_nearest() -> None:
    result = CliRunner().invoke(app, ["sample", "peopel"])
    assert result.exit_code == 2
    assert 'there is no source "peopel"; did you mean "people"?' in result.stderr


@pytest.mark.usefixtures("folder")
def test_config_show_shows_what_is_written_not_what_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILES", "hunter2")
    shown = ran("config", "show")
    assert "hunter2" not in shown
    assert "path: ${FILES:-people}*.csv" in shown
    assert answered("config", "show")["sources"][0]["timezone"] == "UTC"
    assert "hunter2" not in ran("check")


def test_config_schema_is_the_published_one() -> None:
    published = Path(__file__).resolve().parents[2] / "docs/configuration.schema.json"
    assert answered("config", "schema") == json.loads(published.read_text(encoding="utf-8"))


def test_a_secret_in_the_query_of_a_url_is_shown_by_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEED_TOKEN", "another-secret")
    (tmp_path / "kasparro.yaml").write_text("""
sources:
  - {name: one, type: api, url: 'https://example.org/x?page=1&token=tops3cret', key: id, map: {title: t}}
  - {name: two, type: rss, urls: ['https://example.org/a?api_key=tops3cret', 'https://example.org/b?key=tops3cret']}
  - {name: three, type: rss, url: 'https://example.org/c?token=${FEED_TOKEN}'}
""")
    assert [source["path"] for source in answered("check")["sources"]] == [
        "https://example.org/x?page=1&token=***",
        "https://example.org/a?api_key=*** and 1 more",
        "https://example.org/c?token=${FEED_TOKEN}",
    ]
    shown = {source["name"]: source for source in answered("config", "show")["sources"]}
    assert shown["one"]["url"] == "https://example.org/x?page=1&token=***"
    assert shown["two"]["urls"] == ["https://example.org/a?api_key=***", "https://example.org/b?key=***"]
    assert shown["three"]["url"] == "https://example.org/c?token=${FEED_TOKEN}"
    for command in (("check",), ("check", "--json"), ("config", "show"), ("config", "show", "--json")):
        assert "another-secret" not in ran(*command)
        assert "tops3cret" not in ran(*command)
