"""`kasparro rejects`: which records did not pass, why, and what they were."""

import base64
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.test_run_command import MAP, Place


@pytest.fixture
async def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    """Two sources with rejects; the one of `later` has loaded since."""
    made = Place(tmp_path, database)
    made.configure(items=f"path: items.csv, {MAP}", later=f"path: later.csv, {MAP}")
    made.write("items.csv", "i1,one,1.50", "i2,two,dear", "i3,thr\0ee,3")
    made.write("later.csv", "l1,one,cheap")
    ended = await made.kasparro("run", "--concurrency", "1")  # one after another, so that the last seen is the last
    assert ended.exit_code == 0
    assert "items: 2 rejected, see `kasparro rejects list --run 1`" in ended.stderr
    assert "later: 1 rejected, see `kasparro rejects list --run 2`" in ended.stderr
    made.write("later.csv", "l1,one,10")
    assert "see `kasparro rejects" not in (await made.kasparro("run", "later")).stderr
    return made


async def test_rejects_are_listed_by_source_run_and_state(place: Place) -> None:
    rows = (await place.kasparro("rejects", "list", "--json")).document["data"]
    assert [(row["source"], row["code"], row["record_key"], row["locator"]) for row in rows] == [
        ("items", "nul_byte", None, "items.csv:4"), ("items", "invalid_decimal", "i2", "items.csv:3"),
    ]  # fmt: skip
    assert (rows[1]["field"], rows[1]["message"], rows[1]["times"]) == ("value", '"dear" is not a decimal number', 1)

    expected = {
        ("--source", "later"): [],
        ("--source", "later", "--state", "resolved"): ["l1"],
        ("--run", "1"): [None, "i2"],
        ("--run", "2", "--state", "all"): ["l1"],
        ("--run", "9" * 20): [],
        ("--state", "all", "--limit", "1"): ["l1"],
    }
    for arguments, keys in expected.items():
        listed = (await place.kasparro("rejects", "list", "--json", *arguments)).document["data"]
        assert (arguments, [row["record_key"] for row in listed]) == (arguments, keys)
    assert "no open reject" in (await place.kasparro("rejects", "list", "--source", "later")).stdout
    assert (await place.kasparro("rejects", "list", "--source", "latr")).exit_code == 2


async def test_reject_is_shown_with_its_payload(place: Place) -> None:
    unstorable, bad = (await place.kasparro("rejects", "list", "--json")).document["data"]
    shown = (await place.kasparro("rejects", "show", str(bad["id"]), "--json")).document
    assert (shown["source"], shown["locator"], shown["state"]) == ("items", "items.csv:3", "open")
    assert shown["payload"] == {"id": "i2", "name": "two", "price": "dear"}
    for_people = (await place.kasparro("rejects", "show", str(bad["id"]))).stdout
    assert "items.csv:3" in for_people
    assert "dear" in for_people
    assert "i3,thr\\x00ee,3" in (await place.kasparro("rejects", "show", str(unstorable["id"]))).stdout


async def test_secrets_that_came_with_a_record_are_stored_and_not_shown(place: Place, connection: Connection) -> None:
    written, held = "written 'down' 4711", "held-in-a-variable"
    configuration = place.folder / "kasparro.yaml"
    url = "https://e.org/?token=${FEED_TOKEN}"
    feed = f"  - {{name: feed, type: rss, url: '{url}', headers: {{X-Api-Key: {written}}}}}\n"
    configuration.write_text(configuration.read_text() + feed)
    place.env["FEED_TOKEN"] = held
    place.write("items.csv", f"i4,{written} {held},dear", f"i5,{held}\0{written},5")
    assert (await place.kasparro("run", "items")).exit_code == 0

    stored = [
        str(row[0]) for row in await connection.fetch("select payload from raw_csv_data order by id desc limit 2")
    ]
    assert any(held in payload for payload in stored)
    rows = (await place.kasparro("rejects", "list", "--json", "--run", "4")).document["data"]
    assert [row["code"] for row in rows] == ["nul_byte", "invalid_decimal"]
    for row in rows:
        for arguments in (("show", str(row["id"])), ("show", str(row["id"]), "--json")):
            ended = await place.kasparro("rejects", *arguments)
            shown = ended.stdout
            if ended.stdout.startswith("{") and "_unstorable" in ended.document["payload"]:
                shown = base64.b64decode(ended.document["payload"]["_unstorable"]).decode()
            assert ("***" in shown, held in shown, "4711" in shown) == (True, False, False), shown

    configuration.unlink()
    unmasked = await place.kasparro("rejects", "show", str(rows[1]["id"]))
    assert held in unmasked.stdout
    assert "cannot be read: secrets in payloads are shown as they are" in unmasked.stderr


async def test_numbers_that_no_row_has_are_not_found(place: Place) -> None:
    for arguments in (("rejects", "show", "999"), ("rejects", "show", "9" * 20), ("runs", "show", "9" * 20)):
        ended = await place.kasparro(*arguments)
        assert (arguments, ended.exit_code) == (arguments, 2)
        assert f"{arguments[2]}: there is none of this number" in ended.stderr
