"""`kasparro rejects`: which records did not pass, why, what they were, and another try."""

import base64
import re
from pathlib import Path
from typing import Any

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
    rows = (await place.kasparro("rejects", "list", "--each", "--json")).document["data"]
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
        listed = (await place.kasparro("rejects", "list", "--each", "--json", *arguments)).document["data"]
        assert (arguments, [row["record_key"] for row in listed]) == (arguments, keys)
    assert "no open reject" in (await place.kasparro("rejects", "list", "--source", "later")).stdout
    assert (await place.kasparro("rejects", "list", "--source", "latr")).exit_code == 2


async def test_reject_is_shown_with_its_payload(place: Place) -> None:
    unstorable, bad = (await place.kasparro("rejects", "list", "--each", "--json")).document["data"]
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


async def grouped(place: Place, *arguments: str) -> list[dict[str, Any]]:
    return (await place.kasparro("rejects", "list", "--json", *arguments)).document["data"]


async def test_rejects_are_grouped_by_what_is_wrong(place: Place) -> None:
    place.write("items.csv", "i1,one,1.50", "i2,two,dear", "i3,thr\0ee,3", "i4,four,4 or 5", 'i5,five,"1,50"')
    await place.run("items")
    assert "items.csv:" in (await place.kasparro("rejects", "list")).stdout
    prices, nul = await grouped(place)
    assert (prices["code"], prices["field"], prices["message"]) == (
        "invalid_decimal", "value", '"*" is not a decimal number',
    )  # fmt: skip
    assert (prices["payloads"], prices["times"], prices["would_pass"]) == (3, 3, None)
    assert [example["locator"] for example in prices["examples"]] == ["items.csv:3", "items.csv:6"]
    assert (nul["code"], nul["payloads"], nul["message"]) == ("nul_byte", 1, "the record contains a NUL character")
    assert await grouped(place, "--field", "value", "--source", "items") == [prices]

    shown = (await place.kasparro("rejects", "show", prices["group"], "--json")).document
    assert shown == {name: value for name, value in prices.items() if name != "would_pass"}
    assert "items.csv:6" in (await place.kasparro("rejects", "show", prices["group"])).stdout
    for arguments, said in {("f0123456789",): "no reject is of this group", ("first",): "neither the number"}.items():
        ended = await place.kasparro("rejects", "show", *arguments)
        assert (ended.exit_code, said in ended.stderr) == (2, True)


async def test_what_would_pass_by_a_changed_mapping_is_counted_and_then_lands(
    place: Place, connection: Connection
) -> None:
    place.configure(items="path: items.csv, key: id, map: {title: name, body: price}")
    nul, price = sorted(await grouped(place), key=lambda group: group["code"], reverse=True)
    assert [(group["code"], group["would_pass"]) for group in (nul, price)] == [
        ("nul_byte", 0), ("invalid_decimal", 1),
    ]  # fmt: skip
    assert {group["would_pass"] for group in await grouped(place, "--no-would-pass")} == {None}

    ended = await place.kasparro("rejects", "requeue", "--json")
    assert ended.exit_code == 0, ended.stderr
    assert "later" not in ended.stderr, "it has none that is open"
    [run] = ended.document["data"]
    figures = {name: run[name] for name in ("source", "payloads", "landed", "superseded", "filtered", "still_rejected")}
    assert figures == {
        "source": "items", "payloads": 2, "landed": 1, "superseded": 0, "filtered": 0, "still_rejected": 1,
    }  # fmt: skip
    assert [group["code"] for group in await grouped(place)] == ["nul_byte"]
    assert await connection.fetchval("select body from unified_data where record_key = 'i2'") == "dear"
    assert "nothing to requeue" in (await place.kasparro("rejects", "requeue", "--code", "invalid_decimal")).stdout


async def test_dropped_rejects_are_kept_with_the_reason(place: Place, connection: Connection) -> None:
    [group] = await grouped(place, "--code", "invalid_decimal")
    assert (await place.kasparro("rejects", "drop", "--why", "test")).exit_code == 2
    ended = await place.kasparro("rejects", "drop", group["group"], "--why", "test data of the vendor", "--json")
    assert ended.document == {"dropped": {"items": 1}, "why": "test data of the vendor"}
    again = await place.kasparro("rejects", "drop", group["group"], "--why", "test data of the vendor")
    assert "nothing dropped" in again.stdout
    assert (await place.run("items", "--full-refresh")).exit_code == 0
    found = await connection.fetchrow(
        "select state, resolution, times from rejected_records where code = 'invalid_decimal' and record_key = 'i2'"
    )
    assert found is not None
    assert tuple(found) == ("dropped", "test data of the vendor", 2)
    assert await connection.fetchval("select count(*) from raw_csv_data where record_key = 'i2'") == 1


async def test_bad_rows_under_and_over_the_limit_and_their_way_back(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    """30 % bad rows: at a limit of 20 % nothing is written; at 40 % the good ones land; mended, all of them do."""
    place = Place(tmp_path, database)
    place.write("items.csv", *(f"i{n},item {n},{f'{n}.50' if n % 10 > 2 else f'EUR {n}.50'}" for n in range(100)))
    place.configure(items=f"path: items.csv, {MAP}, reject_limit: {{share: 0.2, min_records: 20}}")
    refused = await place.run("items")
    assert (refused.exit_code, refused.document["data"][0]["state"]) == (7, "systemic")
    for table in ("unified_data", "raw_csv_data", "rejected_records"):
        assert await connection.fetchval(f"select count(*) from {table}") == 0

    place.configure(items=f"path: items.csv, {MAP}, reject_limit: {{share: 0.4, min_records: 20}}")
    partial = (await place.run("items")).document["data"][0]
    assert (partial["state"], partial["records"]["inserted"], partial["records"]["rejected"]) == ("partial", 70, 30)
    [group] = await grouped(place)
    assert (group["field"], group["code"], group["payloads"]) == ("value", "invalid_decimal", 30)
    assert re.fullmatch(r'"EUR \d+\.50" is not a decimal number', group["examples"][0]["message"])

    price = "\"decimal(replace(price, 'EUR ', ''))\""
    mended = f"path: items.csv, key: id, map: {{title: name, value: {{expr: {price}}}}}"
    place.configure(items=mended, clean=mended)
    assert [group["would_pass"] for group in await grouped(place)] == [30]
    requeued = await place.kasparro("rejects", "requeue", "--json")
    assert requeued.exit_code == 0, requeued.stderr
    assert requeued.document["data"][0]["landed"] == 30
    assert await grouped(place) == []
    assert await connection.fetchval("select count(*) from rejected_records where state = 'requeued'") == 30
    assert (await place.run("clean")).exit_code == 0
    digests = await connection.fetch("select digest from sources order by name")
    assert digests[0]["digest"] == digests[1]["digest"]
    unchanged = (await place.run("items", "--full-refresh")).document["data"][0]
    assert (unchanged["records"]["inserted"], unchanged["records"]["rejected"], unchanged["raw_written"]) == (0, 0, 0)
