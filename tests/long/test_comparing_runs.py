"""Two full readings of 336,776 real flights compared, and many random sources against the model."""

import csv
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.edited_flights import edit
from tests.integration.test_comparing_at_random import compare_every_pair
from tests.long.flights import ROWS, write_flights
from tests.recovery.facts import url_of


@pytest.mark.parametrize("seed", range(1, 25))
@pytest.mark.parametrize("told", ["not at all", "by tombstones", "by snapshots"])
async def test_every_pair_of_readings_is_told_as_it_was(
    database: ConnectionOptions, connection: Connection, told: str, seed: int
) -> None:
    await compare_every_pair(database, connection, told, seed)


async def test_exactly_the_edited_flights_differ(tmp_path: Path, database: ConnectionOptions) -> None:
    """500 changed, 300 new, 200 missing; then the same rows under another mapping."""
    file, env = write_flights(tmp_path), environment(DATABASE_URL=url_of(database))

    async def command(*arguments: str) -> Ended:
        return await kasparro(*arguments, "--json", "--quiet", env=env, cwd=tmp_path)

    with file.open(encoding="utf-8", newline="") as opened:
        header, *rows = csv.reader(opened)
    edition = edit(header, rows, changed=500, new=300, missing=200, columns=("dep_delay", "tailnum"))
    assert (await command("run")).exit_code == 0
    file.write_text(edition.text, encoding="utf-8")
    assert (await command("run")).exit_code == 0
    configuration = tmp_path / "kasparro.yaml"
    configured = configuration.read_text(encoding="utf-8")
    configuration.write_text(configured.replace("title: tailnum", "title: dest"), encoding="utf-8")
    assert (await command("run", "--full-refresh")).exit_code == 0

    ended = await command("runs", "compare", "1", "2", "--records", "changed", "--limit", "1000")
    found = ended.document
    assert ended.exit_code == 9
    assert found["verdict"] == "source changed: 300 new, 500 changed, 200 gone"
    totals = {"new": 300, "changed": 500, "deleted": 0, "gone": 200, "remapped": 0, "unchanged": ROWS - 700}
    assert found["records"]["totals"] == totals
    assert {each["pointer"]: (each["records"], each["feeds"]) for each in found["records"]["fields"]} == {
        "/dep_delay": (250, ["attributes"]), "/tailnum": (250, ["title"]),
    }  # fmt: skip
    assert {_plain(item["key"]) for item in found["records"]["items"]} == edition.changed
    for kind, keys in (("new", edition.new), ("gone", edition.missing)):
        listed = (await command("runs", "compare", "1", "2", "--records", kind, "--limit", "1000")).document
        assert {_plain(item["key"]) for item in listed["records"]["items"]} == keys

    found = (await command("runs", "compare", "2", "3")).document
    totals = found["records"]["totals"]
    assert found["verdict"] == f"mapping changed: {totals['remapped']:,} records with the same payload became others"
    assert totals["changed"] == 0
    assert totals["remapped"] + totals["unchanged"] == ROWS + 100


def _plain(key: str) -> str:
    return " ".join(key.split("|"))
