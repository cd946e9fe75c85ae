"""What one source meets, and what becomes of the others of the same command."""

import os
from pathlib import Path

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


async def test_file_name_that_is_no_text_fails_its_source_alone(place: Place, connection: Connection) -> None:
    Path(os.fsdecode(os.fsencode(place.folder) + b"/latin\xe9.csv")).write_text("id,name,price\n1,a,1\n")
    ended = await place.run()
    latin, later = ended.document["data"]
    assert (ended.exit_code, latin["state"], later["state"]) == (4, "failed", "succeeded")
    assert latin["error"]["message"] == "source latin: the name of a file is not UTF-8 text: latin\\xe9.csv"
    assert (
        await connection.fetchval("select error_message from etl_runs where state = 'failed'")
        == (latin["error"]["message"])
    )
    [summary, _] = (await place.kasparro("check", "--json")).document["sources"]
    assert summary["warnings"] == ["the name of a file is not UTF-8 text: latin\\xe9.csv"]


async def test_database_that_cannot_be_used_is_told_of_once(place: Place, empty_database: ConnectionOptions) -> None:
    place.env["DATABASE_URL"] = url_of(empty_database)
    ended = await place.run()
    assert (ended.exit_code, ended.stderr.count("no kasparro tables")) == (5, 1)
    assert "run `kasparro migrate`, or `kasparro up`" in ended.stderr
    assert [run["source"] for run in ended.document["data"]] == ["latin"]
