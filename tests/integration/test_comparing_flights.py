"""Two full readings of flights: exactly those records differ that were edited, and the fields are named."""

from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import build_job
from kasparro.ingestion.keys import KEY_SEPARATOR
from kasparro.ingestion.operations.comparing import Listing, compare
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import parse_configuration
from kasparro.schemas.pages.comparison import RecordKind
from tests.edited_flights import HEADER, MAP, edit, flights, written

COUNT = 2_000


class File:
    """The source `flights`."""

    def __init__(self, folder: Path, options: ConnectionOptions) -> None:
        self.folder = folder
        self.options = options
        self.mapping = MAP

    async def load(self, text: str, *, lanes: int = 1, full_refresh: bool = False) -> int:
        (self.folder / "flights.csv").write_text(text, encoding="utf-8")
        configured = f"sources:\n  - name: flights\n    type: csv\n    path: flights.csv\n{self.mapping}"
        job = build_job(parse_configuration(configured, {}).sources[0], self.folder)
        conditions = Conditions(self.options, limits=BatchLimits(records=500))
        outcome = await run_source(job, Request(lanes=lanes, full_refresh=full_refresh), conditions)
        assert outcome.error is None, outcome.error
        assert outcome.row is not None
        return outcome.row["id"]


@pytest.fixture
def file(tmp_path: Path, database: ConnectionOptions) -> File:
    return File(tmp_path, database)


async def keys_of(connection: Connection, base: int, target: int, kind: RecordKind) -> set[str]:
    """All keys of a kind, from pages of 150."""
    found: set[str] = set()
    after: tuple[int, int] | None = None
    while True:
        page = await compare(connection, base, target, Listing((kind,), after, limit=150))
        found.update(item.key.replace(KEY_SEPARATOR, " ") for item in page.comparison.records.items)
        after = page.next_after
        if after is None:
            assert len(found) == page.total
            return found


async def test_exactly_the_edited_flights_differ(file: File, connection: Connection) -> None:
    rows = flights(COUNT)
    edition = edit(HEADER, rows, changed=500, new=300, missing=200, columns=("dep_delay", "note"))
    base = await file.load(written(HEADER, rows), lanes=3)
    target = await file.load(edition.text, lanes=3)

    found = (await compare(connection, base, target, Listing())).comparison

    assert found.records.totals.model_dump() == {
        "new": 300, "changed": 500, "deleted": 0, "gone": 200, "remapped": 0, "unchanged": COUNT - 700,
    }  # fmt: skip
    assert found.verdict == "source changed: 300 new, 500 changed, 200 gone"
    assert [(each.pointer, each.records, each.feeds) for each in found.records.fields] == [
        ("/dep_delay", 250, ["attributes"]), ("/note", 250, []),
    ]  # fmt: skip
    assert await keys_of(connection, base, target, "new") == edition.new
    assert await keys_of(connection, base, target, "changed") == edition.changed
    assert await keys_of(connection, base, target, "gone") == edition.missing


async def test_the_same_flights_under_another_mapping(file: File, connection: Connection) -> None:
    text = written(HEADER, flights(50))
    base = await file.load(text)
    file.mapping = MAP.replace("title: tailnum", "title: dest")
    target = await file.load(text, full_refresh=True)

    found = (await compare(connection, base, target, Listing())).comparison

    assert found.records.totals.model_dump() == {
        "new": 0, "changed": 0, "deleted": 0, "gone": 0, "remapped": 50, "unchanged": 0,
    }  # fmt: skip
    assert found.verdict == "mapping changed: 50 records with the same payload became others"
    assert [(each.pointer, each.before, each.after) for each in found.mapping_changes] == [
        ("/map/title", "tailnum", "dest")
    ]
    assert {item.kind for item in found.records.items} == {"remapped"}

    file.mapping = MAP
    await file.load(text, full_refresh=True)
    found = (await compare(connection, base, target, Listing())).comparison
    assert found.records.totals.remapped is None
    assert found.records.totals.unchanged is None
    lost = f"remapped, unchanged: 50 of the records with the same payload were written again after run {target}"
    assert found.notes == [f"{lost}: which of them the mapping had made others is not known any more"]
