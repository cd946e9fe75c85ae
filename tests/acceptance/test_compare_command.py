"""`kasparro runs compare` and `kasparro runs show`: what people and programs see."""

import re
from pathlib import Path

import pytest

from kasparro.core.database import ConnectionOptions
from tests.acceptance.test_run_command import MAP, Place

GOLDEN = """\
items: source changed: 1 new, 1 changed, 1 gone

                  run 1         run 3
─
state             partial       partial
operation
runs              1             3
started_at        TIME          TIME
finished_at       TIME          TIME
mapping_version   1             1
code_version      VERSION   VERSION
digest            HASH   HASH

cause           changed   run 1   run 3   what
─
source          yes       HASH   HASH   1 new, 1 changed, 1 gone
mapping         no        HASH   HASH   the same
configuration   no        HASH   HASH   the same
code            no        VERSION   VERSION   the same

counter       run 1   run 3   delta   relative
─
fetched           4       4       0      +0.0%
inserted          3       1      -2     -66.7%
updated           0       1      +1
unchanged         0       1      +1
duplicate         0       0       0
rejected          1       1       0      +0.0%
filtered          0       0       0
deleted           0       0       0
raw_written       4       2      -2     -50.0%
gone              0       0       0
batches           1       1       0      +0.0%
size_bytes       39      36      -3      -7.7%
"""
LISTED = """\
records     count
─
new             1
changed         1
deleted         0
gone            1
remapped        0
unchanged       1

fields that changed, in 1 of the changed records
field    records   feeds
─
/price         1   value

3 of 3 records
kind      key   id   what
─
new       i5    5
changed   i2    2    /price: 2 -> 20
gone      i3    3

run 1: 1 rejected records stand as they did before it, if they stood
run 3: 1 rejected records stand as they did before it, if they stood
"""


@pytest.fixture
async def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    """`items`, read twice, as runs 1 and 3: i2 changed, i3 is gone, i4 is bad both times, i5 is new."""
    made = Place(tmp_path, database)
    made.configure(items=f"path: items.csv, {MAP}", other=f"path: other.csv, {MAP}")
    made.write("items.csv", "i1,one,1", "i2,two,2", "i3,three,3", "i4,four,x")
    made.write("other.csv", "o1,one,1")
    assert (await made.run("--concurrency", "1")).exit_code == 0
    made.write("items.csv", "i1,one,1", "i2,two,20", "i4,four,x", "i5,e,5")
    assert (await made.run("items", "--concurrency", "1")).exit_code == 0
    return made


def plain(text: str) -> str:
    """The text without what differs from run to run, and without the widths of columns."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "HASH", re.sub(r"\b\d+\.\d+\.\d+\S*", "VERSION", text))
    return re.sub(" {2,}", "   ", re.sub("─+", "─", text))


async def test_runs_are_shown_to_people(place: Place) -> None:
    ended = await place.kasparro("runs", "compare", "1", "3")
    assert (ended.exit_code, ended.stderr) == (9, "")
    before, _, rest = ended.stdout.partition("\nseconds ")
    assert plain(before) == plain(GOLDEN)
    assert plain(rest.partition("\n\n")[2]) == plain(LISTED)

    shown = (await place.kasparro("runs", "compare", "1", "3", "--limit", "1")).stdout
    assert "more: kasparro runs compare 1 3 --records differing --cursor 0-5" in shown

    text = (await place.kasparro("runs", "show", "3")).stdout
    assert "rejected, with the first of each" in text
    assert '"x" is not a decimal number' in text

    place.write("items.csv", "i1,one,1", "i2,two,20", "i4,four,x", "i5,e,5", "")
    assert (await place.run("items")).exit_code == 0
    assert (await place.kasparro("runs", "compare", "3", "4")).exit_code == 0, "they are equal"


async def test_the_same_for_programs(place: Place) -> None:
    ended = await place.kasparro("runs", "compare", "3", "1", "--json", "--records", "changed")
    found = ended.document
    assert (ended.exit_code, found["swapped"], found["verdict"]) == (
        9,
        True,
        "source changed: 1 new, 1 changed, 1 gone",
    )
    assert found["page"] == {"limit": 20, "next_cursor": None, "has_more": False, "total": 1}
    (item,) = found["records"]["items"]
    assert (item["key"], item["before_raw_id"] < item["after_raw_id"]) == ("i2", True)
    assert item["changes"] == [
        {"pointer": "/price", "change": "changed", "before": "2", "after": "20", "feeds": ["value"]}
    ]
    last = (await place.kasparro("runs", "compare", "1", "3", "--limit", "2", "--json", "--cursor", "1-2")).document
    assert ([each["key"] for each in last["records"]["items"]], last["page"]["has_more"]) == (["i3"], False)

    for arguments in (("1", "2"), ("1", "99"), ("1", "3", "--cursor", "7-1")):
        refused = await place.kasparro("runs", "compare", *arguments)
        assert (arguments, refused.exit_code, refused.stdout) == (arguments, 2, "")

    shown = (await place.kasparro("runs", "show", "3", "--json")).document
    assert [(each["code"], each["field"], each["payloads"], each["locator"]) for each in shown["rejects"]] == [
        ("invalid_decimal", "value", 1, "items.csv:4")
    ]
    assert (shown["coverage"], shown["drift"], shown["quality"]) == ({"items.csv": "full"}, [], [])
    assert shown["stage_seconds"].keys() >= {"store", "transform"}


async def test_why_a_run_failed_is_told_first(place: Place) -> None:
    (place.folder / "items.csv").unlink()
    await place.run("items")
    lines = (await place.kasparro("runs", "show", "4")).stdout.splitlines()
    assert [line.split()[0] for line in lines if line][2:7] == ["id", "source", "state", "error_code", "error_message"]
