"""What one source meets, and what becomes of the others of the same command."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.test_run_command import MAP, Place
from tests.recovery.facts import url_of


@pytest.fixture
def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    """Two sources: files by a pattern, and a good one that comes later."""
    made = Place(tmp_path, database)
    made.configure(latin=f"path: latin*.csv, {MAP}", later=f"path: items.csv, {MAP}")
    made.write("items.csv", "i1,one,1.50")
    return made


async def test_file_name_that_is_no_text_fails_alone(place: Place, connection: Connection) -> None:
    for name in (b"latin\xe9.csv", b"latin.csv", b"latin-2.csv"):
        Path(os.fsdecode(os.fsencode(place.folder) + b"/" + name)).write_text(f"id,name,price\n{len(name)},a,1\n")
    reason = "latin\\xe9.csv: the name of the file is not UTF-8 text"
    for records in (2, 0, 1):
        place.write("latin-3.csv" if records == 1 else "other.csv", "3,a,1")
        ended = await place.run()
        latin, later = ended.document["data"]
        assert (ended.exit_code, latin["state"], later["state"]) == (4, "failed", "succeeded")
        assert (latin["records"]["fetched"], latin["error"]["message"]) == (records, reason)
        assert f"kasparro: latin: {reason}\n  rename it\n" in ended.stderr
    assert await connection.fetchval("select distinct error_message from etl_runs where state = 'failed'") == reason
    keys = await connection.fetch("select record_key from unified_data order by record_key")
    assert [row[0] for row in keys] == ["11", "3", "9", "i1"]
    [summary, _] = (await place.kasparro("check", "--json")).document["sources"]
    assert (summary["files"], summary["warnings"]) == (4, [reason])


async def test_error_of_a_run_names_its_source_once(place: Place, connection: Connection) -> None:
    api = "name: api, type: api, url: 'http://127.0.0.1:${DEAD_PORT}/x', allow_private: true, retry: {attempts: 1}"
    text = f"sources:\n- {{{api}, key: id, map: {{title: t}}}}\n- {{name: none, type: csv, path: no.csv, {MAP}}}\n"
    (place.folder / "kasparro.yaml").write_text(text)
    place.env["DEAD_PORT"] = "1"
    ended = await place.run()
    refused = "http://127.0.0.1:1/x: no connection: Connection refused (tried once)"
    told = [refused, f"no file matches 'no.csv' in {place.folder}"]
    assert [run["error"]["message"] for run in ended.document["data"]] == told
    assert [row[0] for row in await connection.fetch("select error_message from etl_runs order by id")] == told
    lines = [line for line in ended.stderr.splitlines() if line.startswith("kasparro: ")]
    assert lines == [f"kasparro: api: {told[0]}", f"kasparro: none: {told[1]}"]


async def test_database_that_cannot_be_used_is_told_of_once(place: Place, empty_database: ConnectionOptions) -> None:
    place.env["DATABASE_URL"] = url_of(empty_database)
    ended = await place.run()
    logged, told = _logged_and_told(ended.stderr, "no kasparro tables")
    assert (ended.exit_code, len(told), [line["event"] for line in logged]) == (5, 1, ["run.not_recorded"])
    assert "run `kasparro migrate`, or `kasparro up`" in ended.stderr
    assert [run["source"] for run in ended.document["data"]] == ["latin"]


def _logged_and_told(stderr: str, text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines with this text: those of the log, and those for whoever typed the command."""
    lines = [line for line in stderr.splitlines() if text in line]
    return [json.loads(line) for line in lines if line[0] == "{"], [line for line in lines if line[0] != "{"]
