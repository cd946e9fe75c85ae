"""Bringing a database up to date: once, by one process at a time, and never down."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import DatabaseError, DatabaseNewerError, MigrationsPendingError, RunConflictError
from kasparro.ingestion.coordinator import Request, hold
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import migrations, schema_lock
from tests.acceptance.kasparro_process import environment, kasparro
from tests.recovery.facts import url_of
from tests.scripted import ScriptedSource, job_of, row


@pytest.fixture
async def empty(empty_database: ConnectionOptions) -> Any:
    connection = await connect(empty_database, application_name="kasparro:test")
    yield connection
    await connection.close()


async def tables(connection: Connection) -> set[str]:
    rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_tasks_that_upgrade_at_once_both_succeed_and_one_applies(empty_database: ConnectionOptions) -> None:
    applied = await asyncio.gather(*[migrations.upgrade(empty_database) for _ in range(3)])
    assert sorted(applied) == [[], [], migrations.revisions()]
    await migrations.check(empty_database)


async def test_processes_that_migrate_at_once_both_succeed_and_one_applies(
    empty_database: ConnectionOptions, tmp_path: Path
) -> None:
    env = environment(DATABASE_URL=url_of(empty_database))
    ended = await asyncio.gather(*[kasparro("migrate", "--json", env=env, cwd=tmp_path) for _ in range(2)])
    assert [one.exit_code for one in ended] == [0, 0], [one.stderr for one in ended]
    assert sorted(one.document["applied"] for one in ended) == [[], migrations.revisions()]


async def test_waiting_process_says_so_once(empty_database: ConnectionOptions, empty: Connection) -> None:
    said: list[str] = []
    told = asyncio.Event()

    def report(text: str) -> None:
        said.append(text)
        told.set()

    await empty.execute("select pg_advisory_lock($1)", schema_lock.LOCK_KEY)
    waiting = asyncio.create_task(migrations.upgrade(empty_database, report=report))
    await told.wait()
    assert await tables(empty) == set()
    await empty.execute("select pg_advisory_unlock($1)", schema_lock.LOCK_KEY)
    assert await waiting == migrations.revisions()
    assert said == ["waiting for another process that migrates the database"]


async def older(connection: Connection) -> None:
    """Make a current database one revision older, as far as anybody can see."""
    await connection.execute("update alembic_version set version_num = $1", migrations.revisions()[-2])


async def test_migration_waits_for_a_run_and_the_next_run_waits_for_it(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is applied is a stand-in: it says when it begins, and waits until it may end."""
    begun, may_end, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def apply(*_: object) -> None:
        begun.set()
        await may_end.wait()
        await connection.execute("update alembic_version set version_num = $1", migrations.head())

    monkeypatch.setattr(migrations, "_alembic", apply)
    job = job_of(ScriptedSource({"p": [row("a")]}))
    async with hold(database, job):
        await older(connection)
        migrating = asyncio.create_task(migrations.upgrade(database, report=lambda _: told.set()))
        await told.wait()
        running = asyncio.create_task(run_source(job, Request(), Conditions(database)))
    await begun.wait()
    assert not running.done()
    assert await connection.fetchval("select count(*) from etl_runs") == 0
    may_end.set()
    assert await migrating == [migrations.head()]
    assert (await running).error is None


async def test_migration_gives_up_on_runs_that_do_not_end(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    async with hold(database, job_of(ScriptedSource({"p": [row("a")]}))):
        await older(connection)
        with pytest.raises(RunConflictError, match="runs have been at work") as caught:
            await migrations.upgrade(database)
    assert caught.value.exit_code == 8


async def test_lane_that_has_lost_its_coordinator_is_waited_for(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    lane = await connect(database, application_name="kasparro:7:0")
    await older(connection)
    with pytest.raises(RunConflictError, match="runs have been at work"):
        await migrations.upgrade(database)
    await lane.close()


async def test_run_gives_up_on_a_migration_that_does_not_end(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    await connection.execute("select pg_advisory_lock($1)", schema_lock.LOCK_KEY)
    outcome = await run_source(job_of(ScriptedSource({"p": [row("a")]})), Request(), Conditions(database))
    assert isinstance(outcome.error, DatabaseError)
    assert outcome.error.exit_code == 5
    assert "kasparro migrate" in (outcome.error.hint or "")


async def test_run_of_older_code_is_refused_and_writes_nothing(
    database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute("update alembic_version set version_num = '9999'")
    outcome = await run_source(job_of(ScriptedSource({"p": [row("a")]})), Request(), Conditions(database))
    assert isinstance(outcome.error, DatabaseNewerError)
    assert (outcome.error.exit_code, "newer than this version" in outcome.error.message) == (5, True)
    assert await connection.fetchval("select count(*) from sources") == 0


async def test_upgrade_of_a_current_database_changes_nothing(database: ConnectionOptions) -> None:
    assert await migrations.upgrade(database) == []


async def test_database_without_tables_is_pending(empty: Connection) -> None:
    assert await migrations.current_revision(empty) is None
    with pytest.raises(MigrationsPendingError, match="has no kasparro tables, this version needs 0006") as caught:
        await migrations.require_current(empty)
    assert (caught.value.hint, caught.value.exit_code) == (
        "run `kasparro migrate`, or `kasparro up`, which begins with it",
        5,
    )


async def test_older_database_is_pending(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrations.require_current(connection)
    known = migrations.revisions()
    monkeypatch.setattr(migrations, "revisions", lambda: [*known, "9998"])
    with pytest.raises(MigrationsPendingError, match=f"is at revision {known[-1]}, this version needs 9998"):
        await migrations.require_current(connection)


async def test_newer_database_is_refused_and_left_alone(database: ConnectionOptions, connection: Connection) -> None:
    await connection.execute("update alembic_version set version_num = '9999'")
    expected = f"the database is at revision 9999, which is newer than this version knows \\({migrations.head()}\\)"
    with pytest.raises(DatabaseNewerError, match=expected):
        await migrations.upgrade(database)
    with pytest.raises(DatabaseNewerError, match=expected) as caught:
        await migrations.require_current(connection)
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "newer one" in caught.value.hint
    assert await migrations.current_revision(connection) == "9999"


@pytest.mark.parametrize("revision", ["0000", "abcdef012345", "not ours", "99999"])
async def test_revision_of_somebody_else_is_not_called_newer(
    database: ConnectionOptions, connection: Connection, revision: str
) -> None:
    await connection.execute("update alembic_version set version_num = $1", revision)
    for refused in (migrations.upgrade(database), migrations.require_current(connection)):
        with pytest.raises(DatabaseError, match=f"{revision}.*none of kasparro's") as caught:
            await refused
        assert caught.value.code == "database"


async def test_tables_without_a_revision_are_refused_with_a_way_out(
    database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute("delete from alembic_version")
    with pytest.raises(DatabaseError, match="alembic_version names no revision") as caught:
        await migrations.upgrade(database)
    assert "restore alembic_version" in str(caught.value.hint)


async def test_a_table_of_somebody_else_in_the_way_is_named(
    empty_database: ConnectionOptions, empty: Connection
) -> None:
    await empty.execute("create table sources (id integer)")
    with pytest.raises(DatabaseError, match='relation "sources" already exists') as caught:
        await migrations.upgrade(empty_database)
    assert caught.value.hint == "give kasparro a database of its own"
    assert await tables(empty) == {"sources"}


@pytest.fixture
async def plain_role(empty_database: ConnectionOptions, empty: Connection) -> AsyncIterator[ConnectionOptions]:
    """A role that is no superuser: the test's own, or one made for it where that one is."""
    if not await empty.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        yield empty_database
        return
    name, password = f"kasparro_plain_{secrets.token_hex(4)}", secrets.token_hex(16)
    await empty.execute(f"create role {name} login password '{password}'")
    yield replace(empty_database, user=name, password=SecretStr(password))
    await empty.execute(f"drop role {name}")


async def test_a_role_that_may_not_create_tables_is_told_so(plain_role: ConnectionOptions, empty: Connection) -> None:
    await empty.execute("revoke create on schema public from public, pg_database_owner")
    with pytest.raises(DatabaseError, match="may not change the schema: permission denied for schema public") as caught:
        await migrations.upgrade(plain_role)
    assert "grant create on schema public" in str(caught.value.hint)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_in_another_encoding_is_refused(
    server: ConnectionOptions, administrator: Connection, tmp_path: Path, encoding: str
) -> None:
    name = f"kasparro_{encoding.lower()}_{secrets.token_hex(4)}"
    await administrator.execute(
        f"create database {name} template template0 encoding '{encoding}' locale_provider libc locale 'C'"
    )
    try:
        with pytest.raises(DatabaseError, match=f"encoding is {encoding}, kasparro needs UTF8"):
            await migrations.upgrade(server.with_database(name))
        env = environment(DATABASE_URL=url_of(server.with_database(name)), KASPARRO_HOME=str(tmp_path))
        doctor = await kasparro("doctor", "--json", env=env, cwd=tmp_path)
        found = {item["check"]: item for item in doctor.document["data"]}["database"]
        assert (doctor.exit_code, found["verdict"]) == (5, "fail")
        assert encoding in found["found"]
    finally:
        await administrator.execute(f"drop database {name} with (force)")


async def test_check_passes_on_a_fresh_database(database: ConnectionOptions) -> None:
    await migrations.check(database)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("alter table mapping_versions add column by_hand text", "by_hand"),
        ("alter table unified_data drop column category", "category"),
        ("alter table raw_csv_data drop column prev_raw_id", "prev_raw_id"),
        ("alter table etl_runs alter column trigger type varchar(20)", "trigger"),
        ("alter table sources alter column name drop not null", "name"),
        ("create table by_hand (id integer)", "by_hand"),
        ("drop table metric_counters", "metric_counters"),
        ("create index by_hand on unified_data (title)", "by_hand"),
    ],
)
async def test_check_fails_on_a_schema_that_was_changed_by_hand(
    database: ConnectionOptions, connection: Connection, change: str, named: str
) -> None:
    await connection.execute(change)
    with pytest.raises(DatabaseError, match=f"tables and migrations differ: .*{named}"):
        await migrations.check(database)


async def test_check_leaves_partitions_alone(database: ConnectionOptions, connection: Connection) -> None:
    await connection.execute(
        "create table raw_csv_data_y2031m01 partition of raw_csv_data for values from ('2031-01-01') to ('2031-02-01')"
    )
    await migrations.check(database)


async def test_downgrade_to_base_and_up_again_gives_the_same_schema(
    empty_database: ConnectionOptions, empty: Connection
) -> None:
    await migrations.upgrade(empty_database)
    before = await columns(empty)
    await migrations._alembic(empty_database, "downgrade", "base")
    assert await tables(empty) == {"alembic_version"}
    assert await empty.fetchval("select count(*) from pg_sequences") == 0
    assert await migrations.upgrade(empty_database) == migrations.revisions()
    assert await columns(empty) == before
    await migrations.check(empty_database)


async def test_storage_parameters_are_those_of_the_migrations(
    empty_database: ConnectionOptions, empty: Connection
) -> None:
    """Nothing else compares them: Alembic does not look at them."""
    append_only = {"autovacuum_freeze_min_age=0", "autovacuum_analyze_scale_factor=1"}
    expected = {
        "rejected_records": {"fillfactor=50"},
        "etl_checkpoints": {"fillfactor=50"},
        "raw_api_data_default": append_only,
        "raw_csv_data_default": append_only,
        "raw_rss_data_default": append_only,
        "raw_csv_data_y2031m03": append_only,
    }
    await migrations._alembic(empty_database, "upgrade", "0003")
    await empty.execute(
        "create table raw_csv_data_y2031m03 partition of raw_csv_data for values from ('2031-03-01') to ('2031-04-01')"
    )
    assert await storage_parameters(empty) == {}
    await migrations.upgrade(empty_database)
    assert await storage_parameters(empty) == expected
    await migrations._alembic(empty_database, "downgrade", "0003")
    assert await storage_parameters(empty) == {}


async def storage_parameters(connection: Connection) -> dict[str, set[str]]:
    rows = await connection.fetch(
        "select relname, reloptions from pg_class "
        "where relnamespace = 'public'::regnamespace and reloptions is not null"
    )
    return {row["relname"]: set(row["reloptions"]) for row in rows}


async def columns(connection: Connection) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns "
        "where table_schema = 'public' order by table_name, ordinal_position"
    )
    assert len(rows) > 100
    return [tuple(row) for row in rows]


def test_revisions_form_one_line_and_files_are_named_by_them() -> None:
    config = Config()
    config.set_main_option("script_location", "kasparro:migrations")
    config.set_main_option("path_separator", "os")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    names = [script.revision for script in scripts]
    assert names == migrations.revisions()
    assert names == [f"{number:04d}" for number in range(1, len(names) + 1)]
    assert [script.down_revision for script in scripts] == [None, *names[:-1]]
    files = sorted(
        entry.name
        for entry in (resources.files("kasparro.migrations") / "versions").iterdir()
        if entry.name.endswith(".py")
    )
    assert [re.fullmatch(r"(\d{4})_[a-z0-9_]+\.py", name) and name[:4] for name in files] == names
    assert migrations.head() == names[-1]
