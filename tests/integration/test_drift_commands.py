"""`kasparro drift`: findings listed, shown and decided on, and what is proposed for them, for people and programs."""

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kasparro.cli.main import app
from kasparro.core.database import ConnectionOptions, connect
from tests.recovery.facts import url_of

CONFIGURATION = """\
sources:
  - name: quakes
    type: api
    url: http://a.example/
    key: id
    map:
      title: place   # where
      value: mag     # how large
"""
SEED = """
insert into sources (name, type, identity, config_hash)
values ('quakes', 'api', '{"type": "api", "key": ["id"]}', ''), ('news', 'rss', '{}', '');
insert into etl_runs (source_id, trigger, state, pass_id, started_at)
select 1, 'cli', 'partial', n, now() from generate_series(1, 2) n;
insert into source_shapes (source_id, shape)
values (1, '{"format": 1, "records": 400, "looked": 400, "bound": null, "fields": {}}');
insert into schema_drift_events (source_id, run_id, last_run_id, kind, field, expected, seen, share, confidence, parts,
    mapped, policy, first_example, last_example)
values (1, 1, 2, 'field_renamed', 'mag -> magnitude', '{"present": 1.0}', '{"present": 1.0}', 1, 0.9722,
        '{"name": 0.9, "values": 0.96}', true, 'quarantine', 'page=1#0: 1.9', 'page=3#7: 0.98'),
       (1, 1, 1, 'field_missing', 'place', '{"present": 1.0}', '{"present": 0.0}', 1, 1, '{}', true, 'quarantine',
        null, null),
       (2, 2, 2, 'value_shift', 'title', '{"nulls": 0.0}', '{"nulls": 0.5}', 0.5, 1, '{}', false, 'warn', null, null);
"""


@dataclass
class Shell:
    """The command line, in a folder with a configuration and a database with three open findings."""

    folder: Path

    def __call__(self, *arguments: str, expected: int = 0) -> Any:
        result = CliRunner().invoke(app, ["drift", *arguments])
        assert result.exit_code == expected, (result.stdout, result.stderr)
        return result

    def data(self, *arguments: str, expected: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", expected=expected).stdout)


@pytest.fixture
def drift(tmp_path: Path, database: ConnectionOptions, monkeypatch: pytest.MonkeyPatch) -> Shell:
    asyncio.run(_seed(database))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url_of(database))
    monkeypatch.setenv("KASPARRO_HOME", str(tmp_path / "home"))
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION)
    return Shell(tmp_path)


async def _seed(database: ConnectionOptions) -> None:
    connection = await connect(database, application_name="kasparro:test")
    await connection.execute(SEED)
    await connection.close()


def test_findings_are_listed_by_source_kind_and_state(drift: Shell) -> None:
    expected = {
        (): [3, 2, 1],
        ("--source", "quakes"): [2, 1],
        ("--kind", "value_shift"): [3],
        ("--state", "accepted"): [],
        ("--state", "all", "--limit", "1"): [3],
    }
    for arguments, ids in expected.items():
        assert [each["id"] for each in drift.data("list", *arguments)["data"]] == ids, arguments
    assert "no rejected drift" in drift("list", "--state", "rejected").stdout
    shown = drift("list").stdout
    assert "mag -> magnitude" in shown
    assert "kasparro drift propose quakes" in shown
    drift("list", "--source", "nowz", expected=2)


def test_a_finding_is_shown_with_what_to_do(drift: Shell) -> None:
    shown = drift("show", "1").stdout
    for said in ("0.9722 (name 0.90, values 0.96)", "page=1#0: 1.9", "page=3#7: 0.98", "100.0 %", "quarantine"):
        assert said in shown
    assert "kasparro drift propose quakes" in shown
    data = drift.data("show", "1")
    assert (data["kind"], data["parts"], data["last_run_id"]) == ("field_renamed", {"name": 0.9, "values": 0.96}, 2)
    assert data["next"][-1].startswith("kasparro drift reject 1")
    assert "there is none of this number" in drift("show", "99", expected=2).stderr
    assert '"x" is not the number of a finding' in drift("show", "x", expected=2).stderr


def test_a_decision_is_kept_with_who_when_and_why(drift: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    [closed] = drift.data("reject", "1", "--reason", "two things")["data"]
    assert (closed["state"], closed["closed_by"], closed["reason"]) == ("rejected", "ada", "two things")
    assert "by ada: two things" in drift("accept", "1", expected=2).stderr
    assert "--reason is empty" in drift("reject", "2", "--reason", " ", expected=2).stderr
    settings = '    where: place\n    deletes: {tombstone: "!place"}\n'
    (drift.folder / "kasparro.yaml").write_text(CONFIGURATION + settings)
    accepted = drift("accept", "2")
    assert "map.title still reads place: records without it have no value there" in accepted.stderr
    assert "where still reads place: records without it may be left out" in accepted.stderr
    assert "deletes.tombstone still reads place: records without it may delete what is stored" in accepted.stderr
    assert "drift 2 accepted: quakes, field_missing, place" in accepted.stdout
    assert [each["id"] for each in drift.data("list")["data"]] == [3]


def test_nothing_is_closed_where_one_of_several_cannot_be(drift: Shell) -> None:
    drift("reject", "1")
    drift("reject", "3", "1", expected=2)
    assert [each["id"] for each in drift.data("list")["data"]] == [3, 2]


def test_a_patch_is_proposed_and_applied(drift: Shell) -> None:
    proposed = drift("propose", "--no-preview")
    assert proposed.stdout == (
        "--- kasparro.yaml\n+++ kasparro.yaml\n"
        "@@ -5,4 +5,4 @@ drift 1: mag -> magnitude, confidence 0.97 (name 0.90, values 0.96)\n"
        "     key: id\n     map:\n       title: place   # where\n"
        "-      value: mag     # how large\n+      value: not_null(magnitude, mag)     # how large\n"
    )
    assert "drift 2: field_missing place: no change is proposed: no other name of it is told by 0" in proposed.stderr
    assert "records that are held back: 100 are needed" in proposed.stderr
    assert (drift.folder / "kasparro.yaml").read_text() == CONFIGURATION
    data = drift.data("propose", "quakes", "--apply")
    assert data["applied"]
    assert data["changes"] == [
        {
            "source": "quakes", "id": 1, "kind": "field_renamed", "field": "mag -> magnitude", "confidence": 0.9722,
            "parts": {"name": 0.9, "values": 0.96}, "setting": "map.value", "before": "mag",
            "after": "not_null(magnitude, mag)", "as_expression": False, "added": False,
        }
    ]  # fmt: skip
    assert data["next"] == [
        "kasparro check", "kasparro replay plan quakes", "kasparro replay apply PLAN",
        "kasparro rejects requeue --source quakes --code drift",
    ]  # fmt: skip
    mended = CONFIGURATION.replace("value: mag", "value: not_null(magnitude, mag)")
    assert (drift.folder / "kasparro.yaml").read_text() == mended
    again = drift("propose")
    assert again.stdout.strip() == ""
    assert "map.value: it reads both names already" in again.stderr


@pytest.mark.parametrize("tool", [["patch", "-p0"], ["git", "apply", "-p0", "--whitespace=nowarn"]])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_is_printed_is_the_patch_byte_for_byte(drift: Shell, newline: str, tool: list[str]) -> None:
    comment = "# :bug: [red]where[/red] \\[x] \tä " + "long " * 60
    text = CONFIGURATION.replace("# where", comment).replace("\n", newline)
    path = drift.folder / "kasparro.yaml"
    path.write_bytes(text.encode())
    printed = drift("propose", "quakes").stdout_bytes
    subprocess.run(tool, cwd=drift.folder, input=printed, check=True, capture_output=True)
    assert path.read_bytes() == text.replace("value: mag", "value: not_null(magnitude, mag)").encode()


def test_a_patch_with_masked_secrets_is_said_to_be_none(drift: Shell) -> None:
    with_secret = CONFIGURATION.replace("    map:", "    auth: {type: bearer, token: sekret-token-123}\n    map:")
    (drift.folder / "kasparro.yaml").write_text(with_secret)
    proposed = drift("propose", "quakes")
    assert "sekret" not in proposed.stdout + proposed.stderr
    assert "WARNING: the patch does not apply" in proposed.stderr
    drift("propose", "quakes", "--apply")
    assert "token: sekret-token-123" in (drift.folder / "kasparro.yaml").read_text()


def test_what_is_left_to_people_is_said_and_no_rename_is_to_be_accepted(drift: Shell) -> None:
    folded = CONFIGURATION.replace("value: mag     # how large", "value:\n        expr: >-\n          to_number(mag)")
    attributes = "      attributes:\n        size: mag\n        at: not_null(area, place)\n"
    (drift.folder / "kasparro.yaml").write_text(folded + attributes)
    proposed = drift("propose", "quakes", "--apply")
    assert "by hand: quakes: map.value.expr (drift 1)" in proposed.stderr
    assert "written over several lines: make it `to_number(not_null(magnitude, mag))` by hand" in proposed.stderr
    assert "drift accept" not in proposed.stderr
    assert "rejects requeue" not in proposed.stderr
    assert "warning: quakes: map.title still reads place" in drift("accept", "2").stderr


def test_a_change_by_which_stored_records_would_be_rejected_is_not_applied(
    drift: Shell, database: ConnectionOptions
) -> None:
    (drift.folder / "q.csv").write_text("id,at\n1,1517443200\n2,1517443260\n")
    mapped = "map: {title: id, occurred_at: {expr: \"parse_time(at, 'epoch_s')\"}}"
    text = f"sources:\n  - name: times\n    type: csv\n    path: q.csv\n    key: id\n    {mapped}\n"
    (drift.folder / "kasparro.yaml").write_text(text)
    ran = CliRunner().invoke(app, ["run", "times"])
    assert ran.exit_code == 0, ran.output
    asyncio.run(_find_times(database))
    proposed = drift("propose", "times")
    assert "WARNING: times: the changed mapping would lose 2 stored records in a replay" in proposed.stderr
    assert "replay apply" not in proposed.stderr
    assert "--apply" not in proposed.stderr
    refused = drift("propose", "times", "--apply", expected=2)
    assert "kasparro.yaml is left as it is" in refused.stderr
    assert (drift.folder / "kasparro.yaml").read_text() == text


async def _find_times(database: ConnectionOptions) -> None:
    """Numbers, as if these were none in text, that are times now."""
    connection = await connect(database, application_name="kasparro:test")
    await connection.execute("""
insert into schema_drift_events (source_id, run_id, last_run_id, kind, field, expected, seen, share, confidence, parts,
    mapped, policy)
select id, 1, 1, 'type_changed', 'at', '{"types": {"number": 1.0}}', '{"types": {"time": 1.0}}', 1, 1, '{}', true,
    'warn'
from sources where name = 'times'
""")
    await connection.close()
