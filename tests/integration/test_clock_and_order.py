"""Clocks that jump, records that come twice, late or not at all, keys in two files, files replaced under the reader.

Each with what is promised for it: records, counters, digest, and what is said where something could be noticed.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion import coordinator, pipeline, raw_tables, store
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from tests.recovery.facts import facts_of
from tests.scripted import ScriptedSource, job_of, row

ROWS = [row(f"k{n}", bad=n % 7 == 3) for n in range(20)] + [row("k5", "b"), row("k6")]


async def run(options: ConnectionOptions, source: ScriptedSource, *, lanes: int = 2) -> RunOutcome:
    return await run_source(job_of(source), Request(lanes=lanes), Conditions(options))


def counts(outcome: RunOutcome, *names: str) -> list[int]:
    assert outcome.row is not None
    return [outcome.row[name] for name in names]


class JumpingClock(datetime):
    """A wall clock that moves by `step` each time it is looked at, whatever time really passes."""

    step = timedelta(0)
    moment = datetime(2026, 3, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> "JumpingClock":
        cls.moment += cls.step
        return cls.fromtimestamp(cls.moment.timestamp(), tz)


@pytest.fixture
def turn_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Let every look at the clock find it moved by so much."""

    def turn(step: timedelta) -> None:
        clock = type("Clock", (JumpingClock,), {"step": step})
        for module in (coordinator, pipeline, raw_tables, store):
            monkeypatch.setattr(module, "datetime", clock)

    return turn


@pytest.mark.parametrize("step", [timedelta(days=-40), timedelta(days=40), timedelta(hours=-1)])
async def test_clock_that_jumps_between_batches_changes_no_record_counter_or_digest(
    database: ConnectionOptions, connection: Connection, turn_clock: Callable[[timedelta], None], step: timedelta
) -> None:
    """By 40 days at every look: raw rows go to months without a partition, and runs would end before they began."""
    for _ in range(2):
        await run(database, ScriptedSource({"p": ROWS}, name="whole"))
    turn_clock(step)
    for _ in range(2):
        assert (await run(database, ScriptedSource({"p": ROWS}, name="jumped"))).state == "partial"
    facts = await facts_of(connection, "jumped")
    assert facts == await facts_of(connection, "whole")
    assert facts.digest == facts.recomputed
    assert await connection.fetchval("select bool_and(finished_at >= started_at) from etl_runs")
    assert await connection.fetchval("select min(value) from metric_counters") >= 0


async def test_record_that_is_shown_twice_counts_once_and_as_a_duplicate(
    database: ConnectionOptions, connection: Connection
) -> None:
    """A page that an upstream repeats: nothing is written again, and it shows in the counters."""
    pages = {"p": [row("a"), row("b"), row("c"), row("b"), row("c"), row("d")]}
    with capture_logs() as logs:
        outcome = await run(database, ScriptedSource(pages))
    assert counts(outcome, "fetched", "inserted", "duplicate", "raw_written") == [6, 4, 2, 4]
    assert await connection.fetchval("select count(*) from unified_data") == 4
    assert {"run.key_not_unique", "run.pages_overlap"}.isdisjoint(line["event"] for line in logs)


class ScriptedApi(ScriptedSource):
    """The same as an API."""

    @property
    def type(self) -> Literal["api", "csv", "rss"]:
        return "api"


async def test_pages_of_an_api_that_overlap_are_told(database: ConnectionOptions, connection: Connection) -> None:
    """What comes twice while it is read has pushed others from where they are asked for."""
    pages = {"p": [row("a"), row("b"), row("c"), row("b"), row("c"), row("a", "new")]}
    with capture_logs() as logs:
        outcome = await run(database, ScriptedApi(pages))
    assert counts(outcome, "fetched", "inserted", "duplicate", "raw_written") == [6, 3, 3, 4]
    [warning] = [line for line in logs if line["event"] == "run.pages_overlap"]
    assert (warning["log_level"], warning["records"]) == ("warning", 2)
    assert "2 of 6 records came twice" in warning["message"]
    assert await connection.fetchval("select title from unified_data where record_key = 'a'") == "new"


async def test_record_that_one_reading_skips_comes_with_the_next(
    database: ConnectionOptions, connection: Connection
) -> None:
    rows = [row(f"k{n}") for n in range(9)]
    await run(database, ScriptedSource({"p": rows}, name="whole"))
    await run(database, ScriptedSource({"p": rows[:3] + rows[6:]}, name="skipped"))
    later = await run(database, ScriptedSource({"p": rows}, name="skipped"))
    assert counts(later, "inserted", "unchanged") == [3, 6]
    facts = await facts_of(connection, "skipped")
    assert facts.digest == facts.recomputed == (await facts_of(connection, "whole")).digest


@pytest.mark.parametrize("lanes", [1, 3])
async def test_key_in_two_files_is_one_record_and_both_places_are_told(
    database: ConnectionOptions, connection: Connection, lanes: int
) -> None:
    """The file that is read last counts, whatever the number of lanes; and again after the next reading."""
    files = {"a.csv": [row("k1", "a"), row("k2", "a")], "b.csv": [row("k3", "b"), row("k1", "b"), row("k2", "a")]}
    with capture_logs() as logs:
        outcome = await run(database, ScriptedSource(files), lanes=lanes)
    assert counts(outcome, "fetched", "inserted", "duplicate", "raw_written") == [5, 3, 2, 4]
    assert await connection.fetchval("select title from unified_data where record_key = 'k1'") == "b"
    [warning] = [line for line in logs if line["event"] == "run.key_not_unique"]
    assert warning["log_level"] == "warning"
    assert "1 times a key came again with other content" in warning["message"]
    assert "'k1' at a.csv:1 and b.csv:2" in warning["message"]

    before = await facts_of(connection, "scripted")
    await run(database, ScriptedSource(files), lanes=lanes)
    after = await facts_of(connection, "scripted")
    assert after.digest == after.recomputed == before.digest
    assert await connection.fetchval("select title from unified_data where record_key = 'k1'") == "b"


async def test_key_that_comes_again_after_a_resume_is_told_with_both_places(
    database: ConnectionOptions, connection: Connection
) -> None:
    """Its first place was loaded by the run that died."""
    from kasparro.core.errors import SourceError

    armed = [SourceError("gone")]

    def before(_partition: str, position: int) -> None:
        if position == 3 and armed:
            raise armed.pop()

    rows = [row("k1", "a"), row("k2"), row("k3"), row("k4"), row("k1", "b")]
    source = ScriptedSource({"p": rows}, before=before)
    assert (await run(database, source)).state == "failed"
    with capture_logs() as logs:
        assert (await run(database, source)).state == "succeeded"
    [warning] = [line for line in logs if line["event"] == "run.key_not_unique"]
    assert "'k1' at p:1 and p:5" in warning["message"]
    facts = await facts_of(connection, "scripted")
    assert facts.digest == facts.recomputed


async def test_file_that_is_replaced_while_it_is_read_is_read_anew(
    database: ConnectionOptions, connection: Connection, tmp_path: Path
) -> None:
    """Between two batches: the run notices, says so, and ends with what the new file says."""
    from kasparro.ingestion.job import build_job
    from kasparro.ingestion.source import BatchLimits
    from kasparro.schemas.configuration.csv import CsvSourceConfig

    def write(title: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text("id,name\n" + "".join(f"k{n},{title}\n" for n in range(300)), encoding="utf-8")
        fresh.replace(tmp_path / "items.csv")

    replaced: list[bool] = []

    def committed(_source: str, _counters: Any) -> None:
        if not replaced:
            replaced.append(True)
            write("new")

    write("old")
    config = CsvSourceConfig.model_validate(
        {"name": "items", "type": "csv", "path": "items.csv", "key": "id", "map": {"title": "name"}}
    )
    with capture_logs() as logs:
        conditions = Conditions(database, limits=BatchLimits(records=3), committed=committed)
        outcome = await run_source(build_job(config, tmp_path), Request(), conditions)
    assert outcome.error is None
    [warning] = [line for line in logs if line["event"] == "run.pass_abandoned"]
    assert "items.csv: the file was replaced or truncated while it was read" in warning["message"]
    titles = await connection.fetch("select title, count(*)::int as records from unified_data group by title")
    assert [(item["title"], item["records"]) for item in titles] == [("new", 300)]
    facts = await facts_of(connection, "items")
    assert facts.digest == facts.recomputed


class Late(ScriptedSource):
    """Delivers what is new since its watermark, less a lookback, ordered by nothing."""

    lookback = 2

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        since = int(start.settled["read"]) - self.lookback if start.settled else 0
        everything = self.records[partition]
        newest = max((int(item["at"]) for item in everything), default=0)
        self.records = {partition: [item for item in everything if int(item["at"]) >= since]}
        try:
            async for item in super().read(partition, start):
                yield FinalBatch({"read": newest}, "window") if isinstance(item, FinalBatch) else item
        finally:
            self.records = {partition: everything}


async def test_record_that_comes_late_is_found_as_long_as_the_lookback_reaches(
    database: ConnectionOptions, connection: Connection
) -> None:
    """And not after that: what an upstream never shows again is not promised."""
    rows = [row(f"k{n}", at=n) for n in range(10)]
    await run(database, Late({"p": rows}))
    late = await run(database, Late({"p": [*rows, row("late", at=8), row("too late", at=5)]}))
    assert counts(late, "fetched", "inserted", "unchanged") == [4, 1, 3]
    keys = await connection.fetch("select record_key from unified_data where record_key like '%late'")
    assert [item["record_key"] for item in keys] == ["late"]
