"""Connections are named and in UTC, old servers are refused, and real failures become the right house errors."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from kasparro.core.database import (
    Connection,
    ConnectionOptions,
    Tls,
    connect,
    create_pool,
    house_errors,
    resolve,
    translate,
    wait_until_ready,
)
from kasparro.core.errors import (
    ConnectionLostError,
    ContentionError,
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseStartingError,
    DatabaseUnreachableError,
    DatabaseVersionError,
    TooManyConnectionsError,
)
from kasparro.core.settings import load_settings
from tests.fix_database import OwnServer

NAME = "kasparro:test"


async def test_connection_is_named_in_utc_and_without_jit(empty_database: ConnectionOptions) -> None:
    options = replace(empty_database, server_settings={"work_mem": "5MB", "lock_timeout": "7s"})
    connection = await connect(options, application_name="kasparro:7:0", server_settings={"lock_timeout": "9s"})
    shown = [await connection.fetchval(f"show {name}") for name in ("application_name", "timezone", "jit", "work_mem")]
    assert shown == ["kasparro:7:0", "UTC", "off", "5MB"]
    assert await connection.fetchval("show lock_timeout") == "9s"
    await connection.close()


async def test_old_server_is_refused(empty_database: ConnectionOptions) -> None:
    with pytest.raises(DatabaseVersionError, match="kasparro needs 99 or newer"):
        await connect(empty_database, application_name=NAME, minimum_version=99)


async def test_pool_gives_the_same_connections(empty_database: ConnectionOptions) -> None:
    pool = await create_pool(empty_database, application_name=NAME, max_size=2)
    assert await pool.fetchval("show timezone") == "UTC"
    assert await pool.fetchval("show application_name") == NAME
    await pool.close()


async def test_database_url_decides_which_database() -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://ann:swordfish@db.example:6000/shop"})
    options = await resolve(settings)
    assert str(options) == 'database "shop" as "ann" at db.example:6000'


async def _terminate(victim: Connection, killer: Connection) -> None:
    ended = asyncio.Event()
    victim.add_termination_listener(lambda _: ended.set())
    await killer.execute("select pg_terminate_backend($1)", victim.get_server_pid())
    await ended.wait()


async def test_terminated_backend_is_a_lost_connection(empty_database: ConnectionOptions) -> None:
    killer = await connect(empty_database, application_name=NAME)
    idle = await connect(empty_database, application_name=NAME)
    await _terminate(idle, killer)
    with pytest.raises(ConnectionLostError), house_errors():
        await idle.fetchval("select 1")
    busy = await connect(empty_database, application_name=NAME)
    statement = asyncio.create_task(busy.execute("select pg_sleep(60)"))
    await _until_active(killer, busy)
    await _terminate(busy, killer)
    with pytest.raises(ConnectionLostError), house_errors():
        await statement
    await killer.close()


async def _until_active(observer: Connection, observed: Connection) -> None:
    query = "select state = 'active' and query like '%pg_sleep%' from pg_stat_activity where pid = $1"
    while not await observer.fetchval(query, observed.get_server_pid()):
        pass


async def test_session_time_out_is_a_lost_connection(empty_database: ConnectionOptions) -> None:
    connection = await connect(
        empty_database, application_name=NAME, server_settings={"idle_in_transaction_session_timeout": "20"}
    )
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    await connection.execute("begin")
    await ended.wait()
    with pytest.raises(ConnectionLostError), house_errors():
        await connection.execute("commit")


async def test_closed_connection_is_a_lost_connection(empty_database: ConnectionOptions) -> None:
    connection = await connect(empty_database, application_name=NAME)
    await connection.close()
    with pytest.raises(ConnectionLostError), house_errors():
        await connection.execute("select 1")


async def test_no_answer_in_time_is_a_lost_connection(empty_database: ConnectionOptions) -> None:
    connection = await connect(empty_database, application_name=NAME)
    with pytest.raises(ConnectionLostError, match="no answer in time"), house_errors():
        await connection.execute("select pg_sleep(60)", timeout=0.05)
    await connection.close()


async def test_crashed_server_is_lost_then_unreachable_then_ready_again(own_server: OwnServer) -> None:
    connection = await connect(own_server.options, application_name=NAME)
    statement = asyncio.create_task(connection.execute("select pg_sleep(60)"))
    observer = await connect(own_server.options, application_name=NAME)
    await _until_active(observer, connection)
    await own_server.crash()
    with pytest.raises(ConnectionLostError), house_errors():
        await statement
    with pytest.raises(ConnectionLostError), house_errors():
        await observer.fetchval("select 1")
    with pytest.raises(DatabaseUnreachableError, match=r"PGSQL\.5432"):
        await connect(own_server.options, application_name=NAME)
    waiting = asyncio.create_task(wait_until_ready(own_server.options, timeout_seconds=30))
    await own_server.start()
    await waiting


async def test_waiting_gives_up_when_the_server_stays_away(own_server: OwnServer) -> None:
    await own_server.crash()
    with pytest.raises(DatabaseUnreachableError):
        await wait_until_ready(own_server.options, timeout_seconds=0.1)


async def test_refused_connection_is_unreachable_at_once(own_server: OwnServer) -> None:
    right = own_server.options
    for wrong in (
        replace(right, password=SecretStr("swordfish")),
        replace(right, password=None),
        replace(right, user="nobody"),
        replace(right, database="nothing"),
    ):
        with pytest.raises(DatabaseUnreachableError) as caught:
            await wait_until_ready(wrong, timeout_seconds=600)
        assert "swordfish" not in str(caught.value)


async def test_no_connection_left_is_a_full_database(own_server: OwnServer) -> None:
    connection = await connect(own_server.options, application_name=NAME)
    await connection.execute("alter database kasparro connection limit 1")
    with pytest.raises(DatabaseFullError, match="too many connections"):
        await connect(own_server.options, application_name=NAME)
    await connection.close()


def _loopback(port: int) -> ConnectionOptions:
    return ConnectionOptions(("127.0.0.1",), (port,), "ann", "shop", tls=Tls(mode="disable"))


async def test_port_without_a_server_is_unreachable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(DatabaseUnreachableError, match=r"127\.0\.0\.1"):
            await connect(_loopback(reserved.getsockname()[1]), application_name=NAME)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("behave", [_reset, _keep_silent])
async def test_peer_that_is_no_postgresql_is_unreachable(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    peer = await asyncio.start_server(behave, "127.0.0.1", 0)
    options = replace(_loopback(peer.sockets[0].getsockname()[1]), connect_timeout_seconds=0.1)
    with pytest.raises(DatabaseUnreachableError):
        await connect(options, application_name=NAME)
    peer.close()
    await peer.wait_closed()


async def test_lock_time_out_and_serialization_failure_are_contention(empty_database: ConnectionOptions) -> None:
    holder = await connect(empty_database, application_name=NAME)
    waiter = await connect(empty_database, application_name=NAME, server_settings={"lock_timeout": "10"})
    await holder.execute("create table t as select 1 as n")
    async with holder.transaction():
        await holder.execute("lock table t")
        with pytest.raises(ContentionError), house_errors():
            await waiter.execute("select n from t")
    async with holder.transaction():
        await holder.execute("set transaction isolation level repeatable read")
        await holder.execute("select n from t")
        await waiter.execute("update t set n = 2")
        with pytest.raises(ContentionError), house_errors():
            await holder.execute("update t set n = 3")
    await holder.close()
    await waiter.close()


async def test_mistakes_of_our_own_are_not_translated(empty_database: ConnectionOptions) -> None:
    connection = await connect(empty_database, application_name=NAME)
    with pytest.raises(asyncpg.PostgresSyntaxError), house_errors():
        await connection.execute("selekt")
    with pytest.raises(asyncpg.DivisionByZeroError), house_errors():
        await connection.execute("select 1 / 0")
    with pytest.raises(FileNotFoundError), house_errors():
        Path("/nowhere/at/all").read_text()
    await connection.close()


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "Connection reset by peer"), TimeoutError(), OSError(113, "x")]
)
def test_bare_network_error_is_a_lost_connection(error: OSError) -> None:
    assert isinstance(translate(error), ConnectionLostError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.DiskFullError("could not extend file"), DatabaseFullError),
        (asyncpg.AdminShutdownError("x"), ConnectionLostError),
        (asyncpg.CrashShutdownError("x"), ConnectionLostError),
        (asyncpg.TransactionResolutionUnknownError("x"), ConnectionLostError),
        (asyncpg.CannotConnectNowError("the database system is starting up"), DatabaseStartingError),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), TooManyConnectionsError),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), DatabaseReadOnlyError),
        (asyncpg.DeadlockDetectedError("deadlock detected"), ContentionError),
        (asyncpg.IdleSessionTimeoutError("x"), ConnectionLostError),
        (asyncpg.TransactionTimeoutError("x"), ConnectionLostError),
    ],
)
def test_state_that_no_test_can_bring_about_is_translated_too(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error)) is kind
