"""What each kind of check says of records, what becomes of the run, and when nothing has to be read again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import ConfigurationError, QualityError, StoppedError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.moments import Window
from kasparro.ingestion.operations.backfill import chunk_job, open_backfill
from kasparro.ingestion.operations.retention import apply, plan
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.configuration import Retention
from kasparro.schemas.quality import Check
from kasparro.services import quality, quality_scan, runs, sources
from kasparro.workers.scheduler import Scheduled
from tests.fix_database import cloned
from tests.integration.test_scheduler import EveryMinutes, run_until, states
from tests.judged import Judged
from tests.replays import BEFORE, Items
from tests.scripted import ScriptedSource, job_of, row


@pytest.fixture
def judged(tmp_path: Path, database: ConnectionOptions) -> Judged:
    return Judged(tmp_path, database)


@pytest.fixture(scope="module")
async def one_for_all(
    template_database: str, server: ConnectionOptions, administrator: Connection
) -> AsyncIterator[ConnectionOptions]:
    """A database for tests each of which has a source of its own."""
    async with cloned(template_database, server, administrator) as options:
        yield options


KINDS: dict[str, tuple[list[dict[str, Any]], dict[str, tuple[bool, int, int]]]] = {
    "nulls": (
        [{"name": "a"}, {"name": "", "price": 0}, {"name": "b", "price": 1, "label": "x", "size": "0"}],
        {
            "type: not_null, field: title": (False, 3, 1),
            "type: not_null, field: [title, value]": (False, 3, 2),
            "type: not_null, field: tags": (False, 3, 2),
            "type: not_null, field: attributes.size": (False, 3, 2),
            "type: not_null, field: title, max_share: 0.34": (True, 3, 1),
            "type: not_null, field: title, max_share: 0.33": (False, 3, 1),
        },
    ),
    "repeats": (
        [
            {"name": "a", "kind": "x", "price": "1.0", "size": "1"},
            {"name": "A", "kind": "x", "price": "1", "size": "1"},
            {"name": "a", "kind": "y", "price": "1.01"},
            {"name": "a"},
            {"name": "a"},
            {},
            {},
        ],
        {
            "type: unique, field: title": (False, 5, 4),
            "type: unique, field: value": (False, 3, 2),
            "type: unique, field: attributes.size": (False, 2, 2),
            "type: unique, field: [title, category]": (True, 3, 0),
            "type: unique, field: url": (True, 0, 0),
        },
    ),
    "lists": (
        [
            {"kind": "010", "price": "1.00", "label": "x", "size": "10"},
            {"kind": "no", "price": "2.5", "label": "z", "size": "10.0"},
            {"kind": "X ", "price": 3},
            {},
        ],
        {
            "type: in, field: category, values: [x, 010, no]": (False, 3, 1),
            "type: in, field: category, values: ['X ', 010, no]": (True, 3, 0),
            "type: in, field: value, values: [1, 2.50]": (False, 3, 1),
            "type: in, field: tags, values: [x, y]": (False, 2, 1),
            "type: in, field: attributes.size, values: [s, 10]": (False, 2, 1),
        },
    ),
    "numbers": (
        [
            {"price": 0, "size": " 10 "},
            {"price": 1, "size": "9"},
            {"price": "1.0000000000000000000000000000001", "size": "4.99"},
            {"price": "-1e300", "size": "ten"},
            {"size": "1e999999"},
            {},
        ],
        {
            "type: between, field: value, max: 1": (False, 4, 1),
            "type: between, field: value, min: 0, max: 1": (False, 4, 2),
            "type: between, field: value, min: -1e300, max: 2": (True, 4, 0),
            "type: between, field: attributes.size, min: 5": (False, 5, 3),
        },
    ),
    "times": (
        [
            {"at": "2019-12-31T23:00:00Z"},
            {"at": "2019-12-31T22:59:59.999999Z"},
            {"at": "2020-12-31"},
            {"at": "2219-12-31T22:00:00Z"},
            {},
        ],
        {
            "type: between, field: occurred_at, min: 2020-01-01T00:00:00+01:00, max: 2020-12-31": (False, 4, 2),
            "type: between, field: occurred_at, max: now": (False, 4, 1),
            "type: between, field: occurred_at, min: 2219-01-01, max: now": (False, 4, 4),
            "type: fresh_within, max_age: 1h": (False, 1, 1),
            "type: fresh_within, max_age: 3650d": (True, 1, 0),
            "type: fresh_within, max_age: 1h, field: last_changed_at": (True, 1, 0),
        },
    ),
    "patterns": (
        [
            {"url": "https://a", "name": "a foo b"},
            {"url": "ftp://a", "name": "food"},
            {"name": "a\nb", "size": "12"},
            {},
        ],
        {
            "type: matches, field: url, pattern: '^https?://'": (False, 2, 1),
            r"type: matches, field: title, pattern: '\yfoo\y'": (False, 3, 2),
            r"type: matches, field: title, pattern: '^[[:alpha:]]+$'": (False, 3, 2),
            "type: matches, field: title, pattern: '(?i)^(A FOO B|FOOD|A.B)$'": (True, 3, 0),
            "type: matches, field: attributes.size, pattern: '^[0-9]+$'": (True, 1, 0),
        },
    ),
    "deleted": (
        [{}, {"gone": "yes"}, {}],
        {
            "type: row_count, min: 2, max: 2": (True, 2, 0),
            "type: row_count, min: 3": (False, 2, 2),
            "type: not_null, field: title": (False, 2, 2),
        },
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_check_says_how_many_records_do_not_hold_to_it(
    tmp_path: Path, one_for_all: ConnectionOptions, kind: str
) -> None:
    """Records of the other tests' sources do not count."""
    rows, expected = KINDS[kind]
    judged = Judged(tmp_path, one_for_all, name=kind)
    judged.write(*rows)
    results = await judged.judge(*expected)
    said = [(result.passed, result.checked, result.failed) for result in results]
    assert dict(zip(expected, said, strict=True)) == expected


async def test_empty_source_holds_to_all_but_what_wants_records(judged: Judged) -> None:
    judged.write()
    results = await judged.judge(
        "type: not_null, field: title", "type: row_count, min: 1", "type: fresh_within, max_age: 1h"
    )
    assert [(result.passed, result.message) for result in results] == [
        (True, "title not null: there is no record to look at"),
        (False, "row count at least 1: there are 0"),
        (False, "occurred_at within 1h: no record has such a time"),
    ]


BAD, GOOD = {"kind": "z"}, {"kind": "x"}
ONLY_X = "type: in, field: category, values: [x]"


async def test_failed_check_makes_the_run_failed_and_the_data_stays(judged: Judged, connection: Connection) -> None:
    judged.write({"kind": "x", "id": "good"})
    assert (await judged.run()).state == "succeeded"
    source = await sources.get(connection, "judged")
    judged.write({"kind": "z", "id": "bad"}, {"kind": "x", "id": "good"})
    await judged.judge(ONLY_X, "type: not_null, field: url, level: warn")
    row = await connection.fetchrow("select * from etl_runs order by id desc limit 1")
    message = "1 quality check failed: category in x: not so for 1 of 2 records, such as bad (z; from run 2)"
    assert row is not None
    assert (row["state"], row["error_code"], row["error_message"]) == ("failed", "quality_check_failed", message)
    assert (row["fetched"], row["inserted"], row["unchanged"]) == (2, 1, 1)
    assert await connection.fetchval("select count(*) from unified_data where deleted_at is null") == 2
    assert (await sources.get(connection, "judged")).last_success_at == source.last_success_at
    again = await judged.run()
    assert isinstance(again.error, QualityError)
    assert again.error.message == message
    assert again.row is not None
    assert (again.row["fetched"], again.row["error_code"]) == (0, "quality_check_failed")
    assert [(each.run_id, each.level, each.name) for each in await quality.failing(connection)] == [
        (3, "fail", "category in x"), (3, "warn", "url not null"),
    ]  # fmt: skip
    started, failures = await runs.history(connection, "judged")
    assert (started, failures) == (again.row["started_at"], 0)
    judged.write({"kind": "x", "id": "bad"}, {"kind": "x", "id": "good"})
    mended = await judged.run()
    assert (mended.state, [each.name for each in await quality.failing(connection)]) == ("succeeded", ["url not null"])


async def test_failures_before_a_failed_check_are_forgotten(judged: Judged, connection: Connection) -> None:
    judged.write(BAD)
    for number in range(2):
        faults = Faults(parse_plans("fetch:error:1", environment="test"))
        assert (await judged.run(faults=faults)).state == "failed"
        assert (await runs.history(connection, "judged"))[1] == number + 1
    await judged.judge(ONLY_X)
    assert (await runs.history(connection, "judged"))[1] == 0
    assert await connection.fetchval("select circuit_state from sources") == "closed"


async def test_warning_leaves_the_run_a_success(judged: Judged) -> None:
    judged.write(BAD)
    judged.checks = f"{{{ONLY_X}, level: warn}}"
    outcome = await judged.run()
    assert (outcome.state, outcome.error) == ("succeeded", None)
    (result,) = outcome.quality
    assert (result.passed, result.level) == (False, "warn")
    (example,) = result.examples
    assert (example.record_key, example.values, example.run_id) == ("k1", {"category": "z"}, 1)


async def test_examples_are_the_first_five_and_pairs_of_what_repeats(judged: Judged) -> None:
    judged.write(*[{"kind": "x", "name": "a"}] * 3, *[{"kind": "z", "name": f"n{number // 2}"} for number in range(12)])
    some, pairs = await judged.judge(ONLY_X, "type: unique, field: title")
    assert (some.failed, [each.record_key for each in some.examples]) == (12, ["k4", "k5", "k6", "k7", "k8"])
    assert (pairs.failed, [each.record_key for each in pairs.examples]) == (15, ["k1", "k3", "k4", "k5"])


async def test_records_that_are_as_they_were_are_not_read_again(judged: Judged, asked: list[str]) -> None:
    judged.write(GOOD, {**GOOD, "at": datetime.now(UTC).isoformat()})
    checks = [ONLY_X, "type: row_count, min: 1", "type: fresh_within, max_age: 1h", "type: unique, field: url"]
    changed = "type: fresh_within, max_age: 1h, field: last_changed_at"
    first = await judged.judge(*checks, changed)
    asked.clear()
    second = await judged.judge(*checks, changed)
    assert [result.passed for result in second] == [True] * 5
    assert [(each.checked, each.failed, each.seen) for each in second] == [
        (each.checked, each.failed, each.seen) for each in first
    ]
    reads = [text for text in asked if "from unified_data" in text and "exists(" not in text]
    assert [text for text in reads if "order by occurred_at" not in text] == []
    asked.clear()
    await judged.judge(*checks[:2], changed)
    assert any("count(*) filter" in text for text in asked), "other checks are judged over the same records"


async def test_changed_check_is_judged_anew_and_the_open_pass_goes_on(judged: Judged) -> None:
    judged.batch_records = 1
    judged.write(BAD, GOOD)
    stopped = await judged.run(faults=Faults(parse_plans("fetch:error:2", environment="test")))
    judged.checks = f"{{{ONLY_X}}}"
    outcome = await judged.run()
    assert (stopped.state, outcome.state) == ("failed", "failed")
    assert outcome.row is not None
    assert (outcome.row["resumes_run_id"], outcome.row["fetched"], outcome.quality[0].failed) == (1, 1, 1)


async def test_run_that_only_ends_a_pass_judges_what_the_one_before_it_wrote(judged: Judged) -> None:
    judged.write(GOOD)
    assert [result.passed for result in await judged.judge(ONLY_X)] == [True]
    judged.batch_records = 1
    judged.write(GOOD, BAD)
    broken = await judged.run(faults=Faults(parse_plans("fetch:error:2", environment="test")))
    assert (broken.state, broken.quality, broken.row and broken.row["inserted"]) == ("failed", (), 1)
    ended = await judged.run()
    assert (ended.row and ended.row["fetched"], ended.row and ended.row["resumes_run_id"]) == (0, 2)
    assert isinstance(ended.error, QualityError)


async def test_deleted_records_do_not_count_any_more(judged: Judged) -> None:
    judged.write(GOOD, BAD)
    assert [result.passed for result in await judged.judge(ONLY_X)] == [False]
    judged.write(GOOD, {**BAD, "gone": "yes"})
    (result,) = await judged.judge(ONLY_X)
    assert (result.passed, result.checked) == (True, 1)


async def test_times_of_checks_without_a_zone_are_in_that_of_the_source(judged: Judged) -> None:
    judged.more = "timezone: Europe/Berlin"
    judged.write({"at": "2020-01-01T00:30:00"}, {"at": "2019-12-31T23:30:00Z"})
    results = await judged.judge(
        "type: between, field: occurred_at, min: 2020-01-01",
        "type: between, field: occurred_at, min: 2020-01-01T00:00:00Z",
    )
    assert [result.failed for result in results] == [0, 2]


async def test_fresh_within_tells_the_newest_time_that_is_not_far_in_the_future(judged: Judged) -> None:
    now = datetime.now(UTC)
    judged.write(
        *({"at": (now + ahead).isoformat()} for ahead in (timedelta(days=-3), timedelta(hours=-2), timedelta(days=40)))
    )
    old, new = await judged.judge("type: fresh_within, max_age: 1h", "type: fresh_within, max_age: 3h")
    assert (old.passed, new.passed) == (False, True)
    assert [each.record_key for each in (*old.examples, *new.examples)] == ["k2", "k2"]
    assert old.message.endswith("(k2), 2h old when it was judged")


async def test_pattern_that_the_database_cannot_read_ends_the_run_before_it_reads(
    judged: Judged, connection: Connection
) -> None:
    judged.write(GOOD)
    judged.checks = "{type: matches, field: url, pattern: '***:(a'}"
    outcome = await judged.run()
    assert isinstance(outcome.error, ConfigurationError)
    assert "parentheses () not balanced" in outcome.error.message
    row = await connection.fetchrow("select state, error_code, fetched from etl_runs")
    assert row is not None
    assert tuple(row) == ("failed", "configuration", 0)


async def test_replay_clears_a_verdict_that_it_mends_and_fails_over_none(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    checks = "checks: [{type: in, field: category, values: [x]}]"
    items = Items(tmp_path, database, connection, settings=f"{BEFORE}, {checks}")
    items.write(["a,item,1,y,1", "b,item,2,x,1"])
    assert isinstance((await run_source(items.job(), Request(), Conditions(database))).error, QualityError)
    items.settings = f"{BEFORE.replace('category: kind', 'category: {value: x}')}, {checks}"
    outcome = await items.apply(await items.plan())
    assert (outcome.state, [result.passed for result in outcome.quality]) == ("succeeded", [True])
    assert await quality.failing(connection) == []
    items.settings = f"{BEFORE.replace('category: kind', 'category: {value: z}')}, {checks}"
    spoiled = await items.apply(await items.plan())
    assert (spoiled.state, spoiled.error, [result.passed for result in spoiled.quality]) == ("succeeded", None, [False])


async def test_long_scan_is_cut_off_and_the_next_run_judges(
    judged: Judged, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.write(BAD)
    judged.checks = f"{{{ONLY_X}}}"
    stop = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr(quality_scan, "_WITHOUT_JIT", "select pg_sleep(600)")
        running = asyncio.create_task(judged.run(stop=stop, at_once=stop, stop_grace_seconds=1))
        async with asyncio.timeout(30):
            while not await connection.fetchval(
                "select count(*) from pg_stat_activity where query like '%pg_sleep(600)'"
            ):
                pass
        stop.set()
        outcome = await running
    assert isinstance(outcome.error, StoppedError)
    assert (outcome.quality, await connection.fetchval("select count(*) from quality_results")) == ((), 0)
    assert await connection.fetchval("select count(*) from pg_stat_activity where query like '%pg_sleep(600)'") <= 1
    ended = await judged.run()
    assert (ended.row and ended.row["fetched"], len(ended.quality), type(ended.error)) == (0, 1, QualityError)


async def test_scheduler_reads_a_source_whose_data_fails_a_check_at_its_ordinary_times(
    database: ConnectionOptions, connection: Connection
) -> None:
    check = Check("row_count", "row count at least 3", "fail", {"type": "row_count", "min": 3}, "3", low=Decimal(3))
    scheduled = [
        Scheduled(job_of(ScriptedSource({"p": [row("a")]}, name=name), checks=checks), EveryMinutes(2))
        for name, checks in (("good", ()), ("bad", (check,)))
    ]
    await run_until(database, scheduled, lambda finished: finished["good"] >= 6)
    assert {state for state, _ in await states(connection, "bad")} == {"failed"}
    assert len(await states(connection, "bad")) >= 5, "a source that backs off would have been read three times"


async def test_backfill_leaves_it_to_the_next_run_to_judge(judged: Judged, connection: Connection) -> None:
    judged.write({**GOOD, "at": "2020-01-01"})
    await judged.judge(ONLY_X)
    judged.write({**GOOD, "at": "2020-01-01"}, {**BAD, "at": "2020-01-02"})
    job, window = judged.job(), Window(datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC))
    backfill, _ = await open_backfill(connection, job, window, timedelta(days=1), anew=False)
    chunk, operation = chunk_job(job, judged.config(), backfill, window)
    filled = await run_source(chunk, Request(operation=operation), Conditions(judged.options))
    assert (filled.state, filled.row and filled.row["inserted"], filled.quality) == ("succeeded", 1, ())
    assert await quality.failing(connection) == []
    assert isinstance((await judged.run()).error, QualityError)


async def test_old_verdicts_go_with_what_old_batches_did_and_the_newest_stay(
    judged: Judged, connection: Connection
) -> None:
    judged.write(BAD)
    for _ in range(7):
        await judged.judge(ONLY_X)
    await connection.execute("update quality_results set created_at = created_at - interval '300 days'")
    ages, now = {"judged": Retention.model_validate({"runs": "180d"})}, datetime.now(UTC)
    planned, done = (await plan(judged.options, ages, now)), (await apply(judged.options, ages, now))
    assert (planned.sources[0].verdicts, done.sources[0].verdicts) == (2, 2)
    left = await connection.fetch("select run_id from quality_results order by 1")
    assert [found["run_id"] for found in left] == [3, 4, 5, 6, 7]
    assert [each.run_id for each in await quality.failing(connection)] == [7]
