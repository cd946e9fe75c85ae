"""What came from environment variables is in no message, no log and no stored error; data it became stays as it is."""

from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.test_run_command import Place

SECRET = "o'pen \"sesame"
PLAIN = "an-unusual-folder"
LONG = "x" * 150 + "-a-long-secret"
MAPS = {
    "path": 'path: "/nowhere/${SECRET_KEY}/${FOLDER}/x.csv", key: id, map: {title: name}',
    "joined": 'path: "in_${FOLDER}x/x.csv", key: id, map: {title: name}',
    "column": 'path: items.csv, key: id, map: {title: "${SECRET_KEY}", body: "${FOLDER}"}',
    "expression": """path: items.csv, key: id, map: {value: {expr: "decimal('${FOLDER}')"}}""",
    "cut": """path: items.csv, key: id, map: {value: {expr: "'${LONG_PASSWORD}'"}}""",
    "header": 'path: items.csv, header: false, columns: ["${SECRET_KEY}", "${FOLDER}"], map: {title: nothing}',
    "data": 'path: items.csv, key: id, map: {title: {value: "${FOLDER}"}}',
}


@pytest.fixture
def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    made = Place(tmp_path, database)
    made.env |= {"SECRET_KEY": SECRET, "FOLDER": PLAIN, "LONG_PASSWORD": LONG, "LOG_LEVEL": "DEBUG"}
    made.configure(**MAPS)
    made.write("items.csv", "i1,one,1.50")
    return made


def leaked(text: str) -> list[str]:
    return [value for value in ("sesame", PLAIN, "xxxxxxxx") if value in text]


async def test_messages_and_logs_name_the_variable(place: Place) -> None:
    ended = [await place.run(), await place.kasparro("run", "path", "joined"), await place.kasparro("check")]
    assert [leaked(one.stdout + one.stderr) for one in ended] == [[], [], []]
    for one in ended:
        assert "/nowhere/***/${FOLDER}/x.csv" in one.stdout + one.stderr or one is ended[2]
        assert "in_${FOLDER}x/x.csv" in one.stdout + one.stderr
    assert 'items.csv has no column "${FOLDER}"' in ended[2].stdout


async def test_sample_says_what_is_wrong_without_it(place: Place) -> None:
    for source in ("column", "expression", "cut"):
        ended = await place.kasparro("sample", source, "--json")
        assert (source, ended.exit_code, leaked(ended.stdout + ended.stderr)) == (source, 0, [])


async def test_nothing_of_it_is_stored_with_errors(place: Place, connection: Connection) -> None:
    await place.run()
    stored = await connection.fetch("select message from rejected_records union all select error_message from etl_runs")
    messages = [str(row[0]) for row in stored]
    assert leaked("\n".join(messages)) == []
    assert 'there is no column "${FOLDER}"' in messages
    assert any("decimal('${FOLDER}')" in message for message in messages)
    assert await connection.fetchval("select title from unified_data where record_key = 'i1'") == PLAIN


async def test_sources_shows_no_secret_of_an_error_that_was_stored(place: Place, connection: Connection) -> None:
    await place.run()
    await connection.execute("update etl_runs set error_message = 'http://host/x?token=tops3cret: 404'")
    ended = [await place.kasparro("sources"), await place.kasparro("sources", "--json")]
    assert [("tops3cret" in one.stdout, "http://host/x?token=***" in one.stdout) for one in ended] == [
        (False, True)
    ] * 2
