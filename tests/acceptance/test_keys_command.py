"""`kasparro keys`: made, shown once, listed without secrets, revoked."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kasparro.cli.main import app
from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.test_run_command import Place

KEY = re.compile(r"ksp_([0-9a-f]{12})_([0-9a-f]{64})")


@pytest.fixture
async def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    return Place(tmp_path, database)


async def test_a_key_is_printed_once_kept_as_a_hash_listed_without_secret_and_revoked(
    place: Place, connection: Connection
) -> None:
    made = await place.kasparro("keys", "create", "dash board", "--scope", "read", "--expires", "90d")
    match = KEY.fullmatch(made.stdout.strip())
    assert (made.exit_code, match is not None) == (0, True), made.stderr
    assert match is not None
    key_id, secret = match.groups()
    assert secret not in made.stderr
    row = await connection.fetchrow("select * from api_keys")
    assert row is not None
    assert (row["id"], row["name"], row["scopes"]) == (key_id, "dash board", ["read"])
    assert row["secret_sha256"] == hashlib.sha256(bytes.fromhex(secret)).digest()
    assert abs(row["expires_at"] - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)

    listed = await place.kasparro("keys", "list", "--json")
    (shown,) = listed.document["data"]
    assert (shown["id"], shown["name"], shown["scope"], shown["state"]) == (key_id, "dash board", "read", "active")
    assert secret not in listed.stdout
    assert row["secret_sha256"].hex() not in listed.stdout
    revoked = await place.kasparro("keys", "revoke", made.stdout.strip(), "--json")
    assert (revoked.exit_code, revoked.document["state"]) == (0, "revoked")
    again = await place.kasparro("keys", "revoke", key_id, "--json")
    assert again.document["revoked_at"] == revoked.document["revoked_at"]


async def test_json_carries_the_key_and_dates_are_in_utc(place: Place, connection: Connection) -> None:
    made = await place.kasparro("keys", "create", "ci", "--scope", "operate", "--expires", "2099-01-31", "--json", "-q")
    assert KEY.fullmatch(made.document["key"])
    assert (made.document["scope"], made.document["expires_at"]) == ("operate", "2099-01-31T00:00:00Z")
    assert made.stderr == ""
    await connection.execute("update api_keys set expires_at = now()")
    assert (await place.kasparro("keys", "list", "--json")).document["data"][0]["state"] == "expired"


async def test_a_key_that_is_none_cannot_be_revoked(place: Place) -> None:
    ended = await place.kasparro("keys", "revoke", "000000000000")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "none of this id" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x"], "--scope"), (["x", "--scope", "root"], "root"), (["", "--scope", "read"], "printable"),
        (["a\nb", "--scope", "read"], "printable"), (["x" * 101, "--scope", "read"], "printable"),
        (["x", "--scope", "read", "--expires", "soon"], "soon"),
        (["x", "--scope", "read", "--expires", "1y"], "weeks, days, hours, minutes or seconds (52w, 90d, 12h"),
        (["x", "--scope", "read", "--expires", "2020-01-01"], "passed"),
        (["x", "--scope", "read", "--expires", "2020-13-01"], "2020-13-01"),
        (["x", "--scope", "read", "--expires", "0d"], "passed"),
    ],
)  # fmt: skip
def test_what_is_no_scope_name_or_date_is_refused(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(app, ["keys", "create", *arguments])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr
