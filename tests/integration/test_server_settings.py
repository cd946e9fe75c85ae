"""What `kasparro doctor` says of the settings of a user's own server."""

from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.server_settings import RECOMMENDED
from kasparro.services.server_settings import find_shortfalls
from tests.acceptance.kasparro_process import environment, kasparro
from tests.recovery.facts import url_of


async def test_every_recommendation_names_a_setting_of_the_server(connection: Connection) -> None:
    names = [each.name for each in RECOMMENDED]
    known = await connection.fetchval("select count(*) from pg_settings where name = any($1::text[])", names)
    assert (known, len(set(names))) == (len(names), len(names))


@pytest.mark.parametrize(("limit", "found"), [("0", []), ("2min", []), ("30s", [("30s", False)])])
async def test_what_stands_for_the_role_and_database_is_judged(
    connection: Connection, limit: str, found: list[tuple[str, bool]]
) -> None:
    await connection.execute(f"set statement_timeout = '{limit}'")
    shortfalls = await find_shortfalls(connection)
    of_timeout = [each for each in shortfalls if each.recommended.name == "statement_timeout"]
    assert [(each.shown, each.needs_restart) for each in of_timeout] == found


async def test_doctor_says_what_to_set_and_why_and_finds_nothing_broken(
    database: ConnectionOptions, tmp_path: Path
) -> None:
    url = f"{url_of(database)}&options=-c%20statement_timeout%3D5s"
    env = environment(DATABASE_URL=url, KASPARRO_HOME=str(tmp_path))
    doctor = await kasparro("doctor", "--json", env=env, cwd=tmp_path)
    assert doctor.exit_code == 0, doctor.stdout
    [finding] = [item for item in doctor.document["data"] if item["check"] == "server settings"]
    assert finding["verdict"] == "warn"
    assert "statement_timeout is 5s" in finding["found"]
    assert "statement_timeout = 0 (a batch or a migration that takes longer is broken off)" in finding["todo"]
    assert "docs/deployment.md" in finding["todo"]


async def test_servers_of_tests_are_told_from_durable_ones(connection: Connection) -> None:
    """The servers that tests make have no fsync, which nobody else should have."""
    durable = await connection.fetchval("show fsync") == "on"
    named = {each.recommended.name for each in await find_shortfalls(connection)}
    assert ("fsync" in named) == (not durable)
