"""Records that are older than what stands change nothing, whatever the size of batches and the number of lanes."""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.paths import Look, look_by
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import parse_configuration
from kasparro.services.reject_lists import RejectFilter
from tests.integration.test_counting import COUNTERS, OneAtATime, raw_chain, verified
from tests.scripted import ScriptedSource, job_of, row


def _version(payload: Payload) -> str:
    if payload.get("v") is None:
        raise RecordRejected(Defect("invalid_version", "no version", "version"))
    return str(payload["v"])


BY_V: Look = look_by(_version)


def versioned_job(source: ScriptedSource, *, mapping: str = "1", declared: str = "v") -> SourceJob:
    job = job_of(source, mapping=mapping)
    text = f'{{"mapping": "{mapping}", "version": "{declared}"}}'
    assert isinstance(job.transformer, Transformer)
    return replace(job, transformer=replace(job.transformer, version=BY_V), mapping_text=text)


@dataclass
class Guarded(OneAtATime):
    """The same records one at a time, where an older one than what stands is unchanged, and settles no reject."""

    waiting: dict[str, str] = field(default_factory=dict)
    """Open rejects of a key, by payload."""

    def _one(self, record: dict[str, Any], pass_number: int, mapping: str) -> str:
        key, known = record["key"], self.unified.get(record["key"])
        counts = not (record.get("skip") or record.get("bad") or key is None)
        lost = counts and known is not None and record["v"] < known["v"]
        if counts and (not lost or record.get("deleted")):
            self.waiting = {text: other for text, other in self.waiting.items() if other != key}
        if lost:
            return "unchanged"
        before = len(self.raw)
        outcome = super()._one(record, pass_number, mapping)
        if outcome == "rejected" and key is not None:
            self.waiting[repr(sorted(record.items(), key=str))] = key
        if counts and (outcome in {"inserted", "updated", "deleted"} or len(self.raw) > before):
            self.unified[str(key)]["v"] = record["v"]
        return outcome


def stream(random_: random.Random, length: int, *, tombstones: bool) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for _ in range(length):
        kind = random_.random()
        more: dict[str, Any] = {"v": random_.choice("12345")}
        if kind < 0.1:
            more["bad"] = True
        elif kind < 0.2:
            more["skip"] = True
        elif tombstones and kind < 0.4:
            more["deleted"] = True
        records.append(row(f"k{random_.randrange(5)}", random_.choice("abc"), **more))
    return records


async def run(options: ConnectionOptions, job: SourceJob, lanes: int = 1, **more: Any) -> RunOutcome:
    outcome = await run_source(job, Request(lanes=lanes, **more), Conditions(options))
    assert outcome.error is None
    assert outcome.row is not None
    return outcome


def counts(outcome: RunOutcome, *names: str) -> dict[str, int]:
    assert outcome.row is not None
    return {name: outcome.row[name] for name in names or COUNTERS}


async def titles(connection: Connection) -> dict[str, tuple[str, str | None]]:
    rows = await connection.fetch("select record_key, title, version from unified_data where deleted_at is null")
    return {item["record_key"]: (item["title"], item["version"]) for item in rows}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("batch_size", "lanes"), [(1, 1), (7, 3), (1000, 2)])
async def test_older_records_count_as_if_records_came_one_at_a_time(
    database: ConnectionOptions, connection: Connection, seed: int, batch_size: int, lanes: int
) -> None:
    random_ = random.Random(seed)
    passes = [(mapping, stream(random_, 25, tombstones=seed % 2 == 1)) for mapping in ("1", "1", "2")]
    model = Guarded()
    expected = [model.run(records, number, mapping) for number, (mapping, records) in enumerate(passes)]

    counted: list[dict[str, int]] = []
    for mapping, records in passes:
        source = ScriptedSource({"p": records}, batch_size=batch_size)
        counted.append(counts(await run(database, versioned_job(source, mapping=mapping), lanes)))

    assert counted == expected
    assert await raw_chain(connection) == model.chain()
    rows = await connection.fetch("select record_key, title, version, deletion from unified_data")
    assert {tuple(item.values()) for item in rows} == {
        (key, state["record"]["title"], state["v"], "tombstone" if state["deleted"] else None)
        for key, state in model.unified.items()
    }
    waiting = await connection.fetchval("select count(*) from rejected_records where state = 'open'")
    assert waiting == len(model.waiting)
    assert await verified(connection)


async def test_key_with_several_versions_in_a_first_load_ends_with_the_highest(
    database: ConnectionOptions, connection: Connection
) -> None:
    records = [row("a", "two", v="2"), row("a", "one", v="1"), row("a", "five", v="5"), row("a", "four", v="4")]
    outcome = await run(database, versioned_job(ScriptedSource({"p": records}, batch_size=10)))
    names = ("inserted", "duplicate", "unchanged", "raw_written")
    assert counts(outcome, *names) == {"inserted": 1, "duplicate": 1, "unchanged": 2, "raw_written": 2}
    assert await titles(connection) == {"a": ("five", "5")}


async def test_older_record_writes_nothing_at_all(database: ConnectionOptions, connection: Connection) -> None:
    first = await run(database, versioned_job(ScriptedSource({"p": [row("a", "new", v="5")]})))
    state = await connection.fetchrow("select * from unified_data")
    second = await run(database, versioned_job(ScriptedSource({"p": [row("a", "old", v="4")]})))
    assert await connection.fetchrow("select * from unified_data") == state
    assert counts(second, "unchanged", "updated", "raw_written") == {"unchanged": 1, "updated": 0, "raw_written": 0}
    assert first.row is not None
    assert second.row is not None
    assert second.row["digest"] == first.row["digest"]


async def test_record_of_the_same_version_is_taken_as_ever(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, versioned_job(ScriptedSource({"p": [row("a", "first", v="5")]})))
    outcome = await run(database, versioned_job(ScriptedSource({"p": [row("a", "mended", v="5")]})))
    assert counts(outcome, "updated") == {"updated": 1}
    assert await titles(connection) == {"a": ("mended", "5")}


async def test_versions_are_compared_under_the_declaration_that_made_them_alone(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Text of another column, or of another kind, is no version that this one could be older than."""
    await run(database, versioned_job(ScriptedSource({"p": [row("a", "first", v="5")]})))
    job = versioned_job(ScriptedSource({"p": [row("a", "second", v="1")]}), mapping="2", declared="w")
    assert counts(await run(database, job), "updated") == {"updated": 1}
    assert await titles(connection) == {"a": ("second", "1")}
    other = versioned_job(ScriptedSource({"p": [row("a", "third", v="0")]}), mapping="3", declared="w")
    assert counts(await run(database, other), "unchanged") == {"unchanged": 1}


async def test_source_without_versions_keeps_none(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, versioned_job(ScriptedSource({"p": [row("a", "first", v="5")]})))
    await run(database, job_of(ScriptedSource({"p": [row("a", "second", v="1"), row("b", v="1")]}), mapping="2"))
    assert await titles(connection) == {"a": ("second", None), "b": ("a", None)}


async def test_record_without_its_version_is_rejected(database: ConnectionOptions, connection: Connection) -> None:
    outcome = await run(database, versioned_job(ScriptedSource({"p": [row("a"), row("b", v="1")]})))
    assert counts(outcome, "rejected", "inserted") == {"rejected": 1, "inserted": 1}
    assert await connection.fetchval("select code from rejected_records") == "invalid_version"


async def test_requeue_never_puts_an_older_record_over_a_newer_one(
    database: ConnectionOptions, connection: Connection
) -> None:
    records = [row("a", "new", v="5"), row("a", "old", v="3", bad=True), row("b", "five", v="5", bad=True)]
    records += [row("b", "four", v="4", bad=True), row("c", "six", v="6", bad=True)]
    await run(database, versioned_job(ScriptedSource({"p": records}, batch_size=10)))
    mended = versioned_job(ScriptedSource({"p": []}), mapping="2")
    assert isinstance(mended.transformer, Transformer)
    good = replace(mended.transformer, normalize=lambda each: {"record_key": each["key"], "title": each["title"]})
    wanted = RejectFilter()
    job, request = requeue_job(replace(mended, transformer=good), wanted, database), requeue_request(wanted, Request())
    outcome = await run_source(job, request, Conditions(database))
    assert outcome.error is None
    assert counts(outcome, "fetched", "inserted", "unchanged") == {"fetched": 4, "inserted": 2, "unchanged": 2}
    assert await titles(connection) == {"a": ("new", "5"), "b": ("five", "5"), "c": ("six", "6")}
    rows = await connection.fetch("select resolution from rejected_records order by raw_id")
    assert [item["resolution"] for item in rows] == ["superseded", "loaded", "superseded", "loaded"]
    assert await verified(connection)


async def test_file_with_versions_ends_with_the_newest_of_each_key(
    database: ConnectionOptions, connection: Connection, tmp_path: Path
) -> None:
    """Plain rows are judged as columns: those of a first load, and those of a second."""
    yaml = "sources: [{name: rows, type: csv, path: rows.csv, key: id, version: at, map: {title: t}}]"
    (config,) = parse_configuration(yaml, {}).sources
    for hours, expected in (((5, 9, 7), {"inserted": 2, "duplicate": 2}), ((8, 10, 9), {"updated": 2, "duplicate": 0})):
        lines = [f"{key},{key}{hour},2026-01-01T{hour:02}:00:00Z" for hour in hours for key in "ab"]
        (tmp_path / "rows.csv").write_text("\n".join(["id,t,at", *lines, ""]))
        outcome = await run(database, build_job(config, tmp_path), lanes=2, full_refresh=True)
        assert counts(outcome, *expected) == expected
        assert counts(outcome, "fetched") == {"fetched": 6}
    at = "2026-01-01T10:00:00.000000Z"
    assert await titles(connection) == {"a": ("a10", at), "b": ("b10", at)}
