"""Drift mended by what is proposed: a file whose columns are renamed, again and again, or come in another type."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.mending.patching import patch_for, read_file, write
from kasparro.ingestion.mending.proposals import Drifted
from kasparro.ingestion.operations.drift import decide, renames_held_back
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.services import digest, drift, sources
from kasparro.services.drift import DriftEvent
from kasparro.services.reject_lists import RejectFilter

Row = dict[str, str]
CONFIGURATION = """\
sources:
  - name: items   # rows
    type: csv
    path: items.csv
    key: id
    map:
      title: name
      value: price          # in dollars
      occurred_at: at
      attributes: {kind: kind}
  - {name: clean, type: csv, path: items.csv, key: id, map: {title: name}}
"""


class Items:
    """The source `items` of a file that its vendor changes, and of the configuration that is mended."""

    def __init__(self, folder: Path, options: ConnectionOptions, connection: Connection) -> None:
        self.folder, self.options, self.connection = folder, options, connection
        self.path = folder / "kasparro.yaml"
        self.path.write_text(CONFIGURATION)

    def write(self, first: int, change: Callable[[Row], Row] = dict, *, count: int = 300) -> None:
        """Rows, the first of this number."""
        rows = [change(row(number)) for number in range(first, first + count)]
        lines = [",".join(rows[0]), *(",".join(each.values()) for each in rows)]
        (self.folder / "items.csv").write_text("\n".join([*lines, ""]))

    def job(self, name: str = "items") -> SourceJob:
        config = read_file(self.path, "kasparro.yaml", {}).configuration.source(name)
        assert config is not None
        return build_job(config, self.folder)

    async def run(self, name: str = "items") -> RunOutcome:
        return await run_source(self.job(name), Request(), Conditions(self.options))

    async def requeue(self) -> RunOutcome:
        chosen = RejectFilter("items", "drift")
        job, request = requeue_job(self.job(), chosen, self.options), requeue_request(chosen, Request())
        return await run_source(job, request, Conditions(self.options))

    async def findings(self) -> list[DriftEvent]:
        return await drift.open_findings(self.connection, None)

    async def mend(self) -> list[str]:
        """What is proposed, applied; the reasons why settings stay as they are."""
        found = [await self._drifted(event) for event in await self.findings()]
        patch = patch_for(read_file(self.path, "kasparro.yaml", {}), {"items": found}, {})
        if patch.text:
            write(patch)
        return [each.reason for each in patch.unchanged["items"]]

    async def accept(self) -> None:
        for event in await self.findings():
            await decide(self.options, event, "accepted", by="ada", reason=None, at=datetime.now(UTC))

    async def column(self, name: str) -> dict[str, Any]:
        rows = await self.connection.fetch(
            f"select record_key, {name} as value from unified_data u join sources s on s.id = u.source_id "
            "where s.name = 'items' and deleted_at is null"
        )
        return {each["record_key"]: each["value"] for each in rows}

    async def digest(self) -> str:
        found = await sources.get(self.connection, "items")
        async with self.connection.transaction():
            return digest.as_text(await digest.recompute(self.connection, found.id))

    async def clean_digest(self) -> str:
        """Of a clean load of the file as it is now under the mapping of now, of the rows that are in it."""
        text = self.path.read_text()
        self.path.write_text(text.replace("name: clean", "name: unused").replace("name: items ", "name: clean "))
        outcome = await self.run("clean")
        self.path.write_text(text)
        assert outcome.row is not None
        return digest.as_text(int(outcome.row["digest"]))

    async def _drifted(self, event: DriftEvent) -> Drifted:
        profile = await drift.seen_profile(self.connection, event.id) or {}
        limits = profile.get("fields", {}).get(event.field, {}).get("range")
        parts = (event.confidence, event.parts, event.expected, event.seen)
        return Drifted(event.id, event.kind, event.field, *parts, limits)


def row(number: int) -> Row:
    at = f"2026-11-{1 + number // 24 % 28:02}T{number % 24:02}:00:00Z"
    price = f"{number % 60 / 10 + 0.1:.2f}"
    return {"id": f"i{number}", "name": f"item {number % 37}", "price": price, "at": at, "kind": "xyz"[number % 3]}


def renamed(old: str, new: str) -> Callable[[Row], Row]:
    return lambda row: {new if name == old else name: value for name, value in row.items()}


def counted(row: Row) -> Row:
    """The time as milliseconds since 1970."""
    return row | {"at": str(int(datetime.fromisoformat(row["at"]).timestamp() * 1000))}


@pytest.fixture
def items(tmp_path: Path, database: ConnectionOptions, connection: Connection) -> Items:
    return Items(tmp_path, database, connection)


async def test_a_renamed_column_is_mended(items: Items) -> None:
    items.write(0)
    assert (await items.run()).state == "succeeded"
    items.write(100, renamed("price", "unit_price"))
    assert (await items.run()).state == "partial"
    assert None not in (await items.column("value")).values()
    [finding] = await items.findings()
    assert (finding.field, finding.policy) == ("price -> unit_price", "quarantine")

    assert await items.mend() == []
    assert '      value: {expr: "not_null(unit_price, price)"}          # in dollars\n' in items.path.read_text()
    outcome = await items.requeue()
    assert outcome.row is not None
    assert (outcome.row["fetched"], outcome.row["rejected"]) == (300, 0)
    values = await items.column("value")
    assert len(values) == 400
    assert all(f"{value:.2f}" == row(int(key[1:]))["price"] for key, value in values.items())

    items.write(0, renamed("price", "unit_price"))
    await items.run()
    items.write(100, renamed("price", "unit_price"))
    assert [event.kind for event in await items.findings()] == []  # the run saw that the mapping reads it
    items_before = await items.digest()
    items.write(0)
    await items.run()
    assert await items.digest() == items_before  # under the old name as well


async def test_after_requeue_the_digest_is_that_of_a_clean_load(items: Items) -> None:
    items.write(0)
    await items.run()
    items.write(0, lambda row: renamed("price", "unit_price")(row | {"price": row["price"] + "1"}))
    assert (await items.run()).state == "partial"
    await items.mend()
    await items.requeue()
    assert await items.digest() == await items.clean_digest()


async def test_a_field_that_is_renamed_again_is_held_back_again(items: Items) -> None:
    items.write(0)
    await items.run()
    items.write(0, renamed("price", "unit_price"))
    await items.run()
    await items.mend()
    await items.accept()
    await items.requeue()
    before = await items.digest()

    items.write(0, renamed("price", "amount_per_unit"))
    outcome = await items.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("partial", 300)
    assert await items.digest() == before
    [finding] = await items.findings()
    assert (finding.kind, finding.field, finding.mapped, finding.policy) == (
        "field_renamed", "unit_price -> amount_per_unit", True, "quarantine"
    )  # fmt: skip
    assert await items.mend() == []
    assert "not_null(amount_per_unit, unit_price, price)" in items.path.read_text()
    outcome = await items.requeue()
    assert outcome.row is not None
    assert outcome.row["rejected"] == 0
    assert await items.digest() == before


async def test_a_mapping_that_is_changed_before_the_upstream_is_in_nobodys_way(items: Items) -> None:
    items.write(0)
    await items.run()
    text = items.path.read_text()
    items.path.write_text(text.replace("value: price ", "value: {expr: 'not_null(unit_price, price)'} "))
    items.write(0, renamed("price", "unit_price"))
    outcome = await items.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("succeeded", 0)
    [event] = await drift.page(items.connection, source="items", kind=None, state="accepted", before=None, limit=9)
    assert (event.field, event.closed_by) == ("price -> unit_price", "mapping")


async def test_a_rejected_rename_is_not_proposed_again(items: Items) -> None:
    items.write(0)
    await items.run()
    items.write(0, renamed("price", "unit_price"))
    await items.run()
    [finding] = await items.findings()
    await decide(items.options, finding, "rejected", by="ada", reason="net and gross", at=datetime.now(UTC))
    items.write(1, renamed("price", "unit_price"))
    await items.run()
    assert [(event.kind, event.field) for event in await items.findings()] == [("field_missing", "price")]
    text = items.path.read_text()
    await items.mend()
    assert items.path.read_text() == text
    assert None not in (await items.column("value")).values()


async def test_small_runs_tell_a_rename_together(items: Items) -> None:
    items.write(0)
    await items.run()
    for first, together in ((300, 0), (340, 0), (380, 1)):
        items.write(first, renamed("price", "unit_price"), count=40)
        assert (await items.run()).state == "partial"
        [finding] = await items.findings()
        assert (finding.kind, finding.field) == ("field_missing", "price")
        size, renames = await renames_held_back(items.connection, "items", ["price"])
        assert (size, len(renames)) == (first + 40 - 300, together)
    [rename] = renames
    assert (rename.field, rename.mapped) == ("price -> unit_price", True)
    assert rename.confidence > 0.9


async def test_times_that_are_counted_now_are_mended(items: Items) -> None:
    items.write(0)
    await items.run()
    times = await items.column("occurred_at")
    items.write(0, counted)
    assert (await items.run()).state == "systemic"  # no time can be read: nothing of the batch is written
    assert await items.column("occurred_at") == times
    [finding] = await items.findings()
    assert (finding.kind, finding.field) == ("value_shift", "at")
    assert await items.mend() == []
    assert "regex(at, '^[0-9.]+$') && parse_time(at, 'epoch_ms') || at" in items.path.read_text()
    await items.accept()
    outcome = await items.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("succeeded", 0)
    assert await items.column("occurred_at") == times
    assert await items.digest() == await items.clean_digest()
    assert await items.findings() == []
