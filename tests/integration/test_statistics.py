"""The planner knows a source's records as soon as the run that loaded them is over."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import statistics
from kasparro.services.data.pages import read_page
from kasparro.services.data.query import DataQuery
from tests.scripted import ScriptedSource, job_of, row

ROWS = 3_000
PAGE = 50


@pytest.fixture(autouse=True)
async def _without_autovacuum(connection: Connection) -> None:
    """So that it is the run that took the statistics."""
    await connection.execute("alter table unified_data set (autovacuum_enabled = off)")


@pytest.fixture
async def other(database: ConnectionOptions) -> AsyncIterator[Connection]:
    """Another session."""
    connection = await connect(database, application_name="kasparro:other")
    yield connection
    await connection.close()


async def load(options: ConnectionOptions, name: str, rows: int, *, title: str = "a", first: int = 0) -> int:
    """Run a source of so many records; returns its id."""
    source = ScriptedSource({"p": [row(f"k{n}", title) for n in range(first, first + rows)]}, name=name, batch_size=500)
    outcome = await run_source(job_of(source), Request(), Conditions(options))
    assert outcome.error is None
    assert outcome.row is not None
    return int(outcome.row["source_id"])


async def rows_known(connection: Connection) -> float:
    """How many unified records the planner was told of; -1 if it never was."""
    return await connection.fetchval("select reltuples from pg_class where oid = 'unified_data'::regclass")


async def index_rows_read(connection: Connection) -> int:
    await connection.execute("select pg_stat_force_next_flush()")
    return await connection.fetchval(
        "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'unified_data'"
    )


async def test_first_load_leaves_statistics(database: ConnectionOptions, connection: Connection) -> None:
    assert await rows_known(connection) == -1
    source_id = await load(database, "first", ROWS)
    assert await rows_known(connection) == ROWS
    known = await connection.fetchval(
        "select most_common_vals::text from pg_stats where tablename = 'unified_data' and attname = 'source_id'"
    )
    assert known == f"{{{source_id}}}"
    assert not await statistics.misjudge(connection, source_id)


async def test_page_is_read_by_an_index_right_after_a_first_load(
    database: ConnectionOptions, connection: Connection
) -> None:
    source_id = await load(database, "first", ROWS)
    before = await index_rows_read(connection)
    page = await read_page(connection, DataQuery(limit=PAGE), [source_id])
    assert len(page.records) == PAGE
    assert PAGE < await index_rows_read(connection) - before < 2 * PAGE


async def test_small_source_beside_a_large_one_becomes_known(
    database: ConnectionOptions, connection: Connection
) -> None:
    await load(database, "large", 4 * ROWS)
    source_id = await load(database, "small", 1_000)
    assert await rows_known(connection) == 4 * ROWS + 1_000
    assert not await statistics.misjudge(connection, source_id)


async def test_run_that_changes_little_takes_none(database: ConnectionOptions, connection: Connection) -> None:
    await load(database, "first", 999)
    assert await rows_known(connection) == -1
    await load(database, "second", ROWS)
    assert await rows_known(connection) == ROWS + 999
    await load(database, "second", ROWS, title="b")
    await load(database, "second", ROWS + 1_500)
    assert await rows_known(connection) == ROWS + 999


async def test_autovacuum_still_finds_its_work(database: ConnectionOptions, connection: Connection) -> None:
    """Its own sample is ten times ours, and it counts the rows that changed since it took it."""
    await load(database, "first", ROWS)
    await connection.execute("select pg_stat_force_next_flush()")
    row = await connection.fetchrow(
        "select n_mod_since_analyze, last_analyze from pg_stat_user_tables where relname = 'unified_data'"
    )
    assert row is not None
    assert (row["n_mod_since_analyze"] >= ROWS, row["last_analyze"] is not None) == (True, True)


async def test_run_waits_for_nobody_who_holds_the_table(
    database: ConnectionOptions, connection: Connection, other: Connection
) -> None:
    async with other.transaction():
        await other.execute("lock table unified_data in share update exclusive mode")
        await load(database, "first", ROWS)
    assert await rows_known(connection) == -1


async def test_run_stands_whatever_becomes_of_its_statistics(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "_ANALYZE", "select pg_sleep(60)")
    monkeypatch.setattr(statistics, "_BRIEFLY", "set local statement_timeout = '1ms'")
    with capture_logs() as logs:
        await load(database, "first", ROWS)
    [warning] = [entry for entry in logs if entry["event"] == "statistics.not_taken"]
    assert "statement timeout" in warning["message"]
    assert await rows_known(connection) == -1
    assert await connection.fetchval("select count(*) from unified_data") == ROWS
