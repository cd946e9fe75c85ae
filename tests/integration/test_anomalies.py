"""Runs that are far from their source's history: found as they are closed, with real runs over seeded ones."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.outcomes import RunOutcome
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import anomalies
from kasparro.services.anomalies import stored
from tests.scripted import ScriptedSource, job_of, row

FIRST_LOAD = 30
"""So many records has the first load, by which the source, its mapping and its checkpoint come to be."""
_SEED = """
insert into etl_runs (source_id, trigger, state, pass_id, queued_at, started_at, finished_at, config_hash,
                      mapping_version, code_version, plan, checkpoint_before, batches, fetched, inserted, unchanged,
                      size_bytes, operation)
select r.source_id, 'schedule', 'succeeded', 1000 + n, m.at, m.at, m.at + interval '1 second', r.config_hash,
       r.mapping_version, r.code_version, '{"full_refresh": false}', '{"p#-1": {"ordinal": 0, "cursor": {}}}', 1,
       c.count, c.count, 0, 10 * c.count, $3
from etl_runs r, generate_series(1, $1::integer) n,
     lateral (select $2::timestamptz - ($1::integer - n + 1) * interval '1 day' as at) m,
     lateral (select 400 + n * 37 % 11 as count) c
where r.id = (select min(id) from etl_runs)
"""


KEYS = count()
"""Of records that no source has had before."""


async def load(options: ConnectionOptions, records: int) -> RunOutcome:
    """Run the source with so many records that it has not had before."""
    rows = [row(f"k{next(KEYS)}") for _ in range(records)]
    return await run_source(job_of(ScriptedSource({"p": rows}, batch_size=500)), Request(), Conditions(options))


async def known(connection: Connection, options: ConnectionOptions, runs: int, *, operation: str | None = None) -> None:
    """A source with a first load, long ago, and so many daily runs of some 400 records, the last one a day ago."""
    now = datetime.now(UTC)
    assert (await load(options, FIRST_LOAD)).error is None
    await connection.execute("update etl_runs set started_at = $1, finished_at = $1", now - timedelta(days=runs + 1))
    await connection.execute(_SEED, runs, now, operation)


async def kept(connection: Connection) -> list[dict[str, Any]]:
    return [dict(each) for each in await connection.fetch("select * from run_anomalies order by id")]


async def test_run_with_a_fraction_of_the_usual_records_is_told_of(
    database: ConnectionOptions, connection: Connection
) -> None:
    await known(connection, database, 40)
    with capture_logs() as logs:
        outcome = await load(database, 12)
    assert outcome.row is not None
    found = await anomalies.of_run(connection, outcome.row["id"])
    assert [(each.measure, each.seen, each.source) for each in found] == [("volume", 12.0, "scripted")]
    assert 250 < found[0].expected_low < 400
    assert 410 < found[0].expected_high < 600
    assert found[0].score > 10
    assert found[0].message.startswith("fetched 12 records, ")
    assert found[0].message.endswith(" were usual: about 1/34")
    assert [each["message"] for each in logs if each["event"] == "run.anomaly"] == [found[0].message]
    assert outcome.anomalies == tuple(found)
    assert await anomalies.current(connection) == found


async def test_usual_run_after_an_unusual_one_is_not_told_of(
    database: ConnectionOptions, connection: Connection
) -> None:
    await known(connection, database, 40)
    await load(database, 12)
    await connection.execute(
        "update etl_runs set started_at = started_at - interval '1 day', finished_at = finished_at - interval '1 day'"
    )
    outcome = await load(database, 404)
    assert outcome.anomalies == ()
    assert [each["measure"] for each in await kept(connection)] == ["volume"]
    assert await anomalies.current(connection) == []


@pytest.mark.parametrize(("runs", "found"), [(7, []), (8, ["volume"])])
async def test_eight_runs_are_enough_to_judge_by_and_seven_are_not(
    database: ConnectionOptions, connection: Connection, runs: int, found: list[str]
) -> None:
    await known(connection, database, runs)
    assert [each.measure for each in (await load(database, 1)).anomalies] == found


async def test_runs_of_operations_are_no_history(database: ConnectionOptions, connection: Connection) -> None:
    await known(connection, database, 40, operation="backfill")
    assert (await load(database, 1)).anomalies == ()


async def test_failed_run_is_not_judged(database: ConnectionOptions, connection: Connection) -> None:
    await known(connection, database, 40)
    broken = ScriptedSource({"p": [row("x")]}, before=_break)
    outcome = await run_source(job_of(broken), Request(), Conditions(database))
    assert (outcome.state, await kept(connection)) == ("failed", [])


def _break(_partition: str, _position: int) -> None:
    raise SourceError("it is down")


async def test_judgement_that_fails_undoes_no_run(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known(connection, database, 40)
    monkeypatch.setattr(stored, "judge", lambda *_: 1 / 0)
    with capture_logs() as logs:
        outcome = await load(database, 12)
    assert (outcome.state, outcome.error, outcome.anomalies) == ("succeeded", None, ())
    assert [each["message"] for each in logs if each["event"] == "run.anomalies_failed"] == [
        "unexpected ZeroDivisionError"
    ]


async def test_source_that_is_late_by_its_own_rhythm_is_overdue(
    database: ConnectionOptions, connection: Connection
) -> None:
    await known(connection, database, 20)
    last = await connection.fetchval("select max(finished_at) from etl_runs")
    await connection.execute("update sources set last_success_at = $1", last)
    assert await anomalies.overdue(connection, last + timedelta(hours=27)) == []
    (late,) = await anomalies.overdue(connection, last + timedelta(hours=47))
    assert (late.source, late.seen) == ("scripted", 47 * 3600.0)
    assert late.message.startswith("47 h have passed since the last success, up to ")


async def test_source_with_few_successes_is_never_overdue(database: ConnectionOptions, connection: Connection) -> None:
    await known(connection, database, 6)
    assert await anomalies.overdue(connection, datetime.now(UTC) + timedelta(days=30)) == []


async def test_history_is_read_by_index_and_no_further_than_needed(
    database: ConnectionOptions, connection: Connection
) -> None:
    await known(connection, database, 3_000)
    await connection.execute("analyze etl_runs")
    run_id = await connection.fetchval("select max(id) from etl_runs")
    plan = await connection.fetchval(
        f"explain (analyze, format json) {stored._HISTORY}", run_id, stored._LOOKED_AT, stored.HISTORY_RUNS + 1
    )
    assert '"Actual Rows": 3' not in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
