"""A database that takes no writes, no connections or no lock for a while: what is waited for, and what is not.

Crashes of the server are in test_server_crash.py, bad ways to it in test_way_to_database.py.
"""

import asyncio
from dataclasses import replace

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import (
    ContentionError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    TooManyConnectionsError,
)
from kasparro.ingestion import recovery
from kasparro.ingestion.connections import COORDINATOR_SETTINGS
from kasparro.ingestion.run import Conditions
from tests.recovery.facts import Facts, facts_of
from tests.recovery.test_way_to_database import nothing
from tests.recovery.trouble import NAME, ROWS, Troubled, run, states

_END_ALL = """
select pg_terminate_backend(pid, 10000) from pg_stat_activity
where datname = current_database() and application_name like 'kasparro:%' and pid <> pg_backend_pid()
  and application_name <> 'kasparro:test'
"""


class Demoted:
    """A database that takes no writes any more once its sessions have ended: what a fail-over leaves of a primary."""

    def __init__(self, connection: Connection, options: ConnectionOptions) -> None:
        self._connection = connection
        self._name = options.database
        self._one_at_a_time = asyncio.Lock()

    async def demote(self) -> None:
        async with self._one_at_a_time:
            await self._connection.execute(f'alter database "{self._name}" set default_transaction_read_only = on')
            await self._connection.execute(_END_ALL)

    async def promote(self) -> None:
        async with self._one_at_a_time:
            await self._connection.execute(f'alter database "{self._name}" reset default_transaction_read_only')


@pytest.mark.parametrize("at_work", [False, True])
async def test_database_that_takes_no_writes_for_a_while_is_waited_for(
    database: ConnectionOptions, connection: Connection, untroubled: Facts, at_work: bool
) -> None:
    demoted = Demoted(connection, database)
    if not at_work:
        await demoted.demote()
    source = Troubled(demoted.demote if at_work else nothing)
    outcome = await run(source, Conditions(database, revive=demoted.promote))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["interrupted"] * at_work + ["partial"]


async def test_database_that_takes_no_writes_at_all_ends_the_run_with_a_remedy(
    database: ConnectionOptions, connection: Connection, untroubled: Facts
) -> None:
    demoted = Demoted(connection, database)
    source = Troubled(demoted.demote)
    outcome = await run(source, Conditions(database, reconnect_seconds=0.2))
    assert isinstance(outcome.error, DatabaseReadOnlyError)
    assert outcome.error.exit_code == 5
    assert "target_session_attrs=read-write" in (outcome.error.hint or "")
    await demoted.promote()
    assert (await run(source, Conditions(database))).error is None
    assert await facts_of(connection, NAME) == untroubled


async def test_too_many_connections_are_waited_for(
    database: ConnectionOptions, connection: Connection, untroubled: Facts
) -> None:
    """This test's own, and the coordinator's: none is left for the lanes."""
    await connection.execute(f'alter database "{database.database}" connection limit 2')

    async def lift() -> None:
        await connection.execute(f'alter database "{database.database}" connection limit -1')

    outcome = await run(Troubled(nothing), Conditions(database, revive=lift))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled


async def test_too_many_connections_for_ever_end_the_run_with_a_remedy(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "FIRST_PAUSE_SECONDS", 0.001)
    await connection.execute(f'alter database "{database.database}" connection limit 2')
    outcome = await run(Troubled(nothing), Conditions(database))
    assert isinstance(outcome.error, TooManyConnectionsError)
    assert outcome.error.exit_code == 5
    assert "max_connections" in (outcome.error.hint or "")


async def test_run_that_never_had_a_database_does_not_wait_for_one(database: ConnectionOptions) -> None:
    nowhere = replace(database, hosts=("/nowhere",))
    outcome = await run(Troubled(nothing), Conditions(nowhere, reconnect_seconds=3600))
    assert isinstance(outcome.error, DatabaseUnreachableError)


async def test_lock_that_somebody_keeps_ends_the_run_and_the_next_one_goes_on(
    database: ConnectionOptions, connection: Connection, untroubled: Facts
) -> None:
    holder = await connect(database, application_name="kasparro:test")
    impatient = replace(database, server_settings={"lock_timeout": "20ms"})

    async def lock() -> None:
        await holder.execute("begin; lock table unified_data in share mode")

    source = Troubled(lock)
    outcome = await run(source, Conditions(impatient))
    assert isinstance(outcome.error, ContentionError)
    assert (outcome.state, outcome.error.exit_code) == ("failed", 5)
    assert "pg_locks" in (outcome.error.hint or "")
    await holder.execute("rollback")
    assert (await run(source, Conditions(database))).error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["failed", "partial"]
    await holder.close()


async def test_lock_that_is_given_back_in_time_is_no_failure(
    database: ConnectionOptions, connection: Connection, untroubled: Facts
) -> None:
    """Longer than one lock time-out, shorter than three."""
    holder = await connect(database, application_name="kasparro:test")
    impatient = replace(database, server_settings={"lock_timeout": "400ms"})

    async def lock() -> None:
        await holder.execute("begin; lock table unified_data in share mode")
        asyncio.get_running_loop().call_later(0.6, lambda: releasing.append(asyncio.ensure_future(give_back())))

    async def give_back() -> None:
        await holder.execute("rollback")

    releasing: list[asyncio.Future[None]] = []
    outcome = await run(Troubled(lock), Conditions(impatient))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["partial"]
    await asyncio.gather(*releasing)
    await holder.close()


async def test_server_whose_default_is_another_isolation_changes_nothing(
    database: ConnectionOptions, connection: Connection, untroubled: Facts
) -> None:
    strict = replace(database, server_settings={"default_transaction_isolation": "serializable"})
    outcome = await run(Troubled(nothing), Conditions(strict))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled


async def test_lock_on_what_the_last_transaction_needs_is_no_failure_when_it_is_given_back(
    database: ConnectionOptions, connection: Connection, untroubled: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody keeps the source's row for longer than the coordinator waits for it at once."""
    monkeypatch.setitem(COORDINATOR_SETTINGS, "lock_timeout", "200ms")
    holder = await connect(database, application_name="kasparro:test")
    releasing: list[asyncio.Future[str]] = []

    async def lock() -> None:
        await holder.execute("begin; select from sources for update")
        release = lambda: releasing.append(asyncio.ensure_future(holder.execute("rollback")))  # noqa: E731
        asyncio.get_running_loop().call_later(0.4, release)

    outcome = await run(Troubled(lock, at=len(ROWS)), Conditions(database))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["partial"]
    await asyncio.gather(*releasing)
    await holder.close()
