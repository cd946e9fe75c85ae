"""Real PostgreSQL for tests: a server for the session, a migrated clone for each test, and servers that may crash.

`KASPARRO_TEST_DATABASE_URL` puts another server under the session's tests; its role must be allowed to create
databases. Servers of our own run without fsync: a killed process loses nothing by that, only a power cut would.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kasparro.core import embedded
from kasparro.core.database import Connection, ConnectionOptions, connect, parse_url
from kasparro.core.embedded.layout import layout_for
from kasparro.core.embedded.lock import Patience
from kasparro.core.embedded.server import ensure
from kasparro.ingestion import connections

_FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "1GB", "shared_buffers": "128MB"}
_FORGETFUL = {"wal_writer_delay": "10s"}
"""Asynchronous commits stay in memory: a crash loses them, also on a machine so busy that it comes late."""
LOCK_WAITERS = """
select count(distinct waiting.pid) from pg_locks waiting join pg_locks any_of on any_of.pid = waiting.pid
where not waiting.granted and any_of.database = (select oid from pg_database where datname = current_database())
"""
"""How many sessions of this database wait for a lock; there may be other tests' databases on the server.

Inside a transaction too: pg_stat_activity would there show the same again and again.
"""
_ROOMY_BYTES = 4 * 1024**3


async def start_server(home: Path, **settings: str) -> ConnectionOptions:
    """Start (or find) the home's server, without fsync if it is started here, with further server settings."""
    return await asyncio.to_thread(ensure, home, Patience(), settings={**_FAST, **settings}, durable=False)


def _fastest_folder() -> Path:
    """Memory, where there is plenty (containers have 64 MiB): cloning a database creates hundreds of files."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOMY_BYTES
    return memory if roomy else Path("/tmp")


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server for one test, to be crashed at will."""

    home: Path
    options: ConnectionOptions

    async def crash(self) -> None:
        """End it without a checkpoint and without a word to its clients."""
        await embedded.stop(self.home, mode="immediate")

    async def start(self) -> None:
        """Start it again; returns after recovery."""
        await start_server(self.home, **_FORGETFUL)


@pytest.fixture(scope="session")
def home_root() -> Iterator[Path]:
    """A folder that the server's user can reach, with room for short socket paths."""
    root = Path(tempfile.mkdtemp(prefix="ksp-", dir=_fastest_folder()))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
async def home(home_root: Path) -> AsyncIterator[Path]:
    """A home without a server; one that a test starts in it is stopped."""
    folder = home_root / secrets.token_hex(4)
    yield folder
    await embedded.stop(folder, mode="immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def server(home_root: Path) -> AsyncIterator[ConnectionOptions]:
    """The session's server, and a database on it to create others from."""
    url = os.environ.get("KASPARRO_TEST_DATABASE_URL")
    if url:
        yield parse_url(url, {})
        return
    home = home_root / "session"
    yield await start_server(home)
    await embedded.stop(home, mode="immediate")


@pytest.fixture(scope="session")
async def administrator(server: ConnectionOptions) -> AsyncIterator[Connection]:
    """A connection that creates and drops databases."""
    connection = await connect(server, application_name="kasparro:administrator")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template_database(server: ConnectionOptions, administrator: Connection) -> AsyncIterator[str]:
    """The name of a database with all migrations applied, to be cloned; nothing may stay connected to it."""
    from kasparro.services.migrations import upgrade

    name = f"kasparro_template_{secrets.token_hex(4)}"
    await administrator.execute(f'create database "{name}"')
    await upgrade(server.with_database(name))
    yield name
    await administrator.execute(f'drop database "{name}" with (force)')


@pytest.fixture
async def empty_database(server: ConnectionOptions, administrator: Connection) -> AsyncIterator[ConnectionOptions]:
    """A database of the test's own, without kasparro's tables."""
    name = f"kasparro_empty_{secrets.token_hex(4)}"
    await administrator.execute(f'create database "{name}" template template0')
    yield server.with_database(name)
    await administrator.execute(f'drop database "{name}" with (force)')


@pytest.fixture
async def database(
    server: ConnectionOptions, administrator: Connection, template_database: str
) -> AsyncIterator[ConnectionOptions]:
    """A migrated, empty database of the test's own."""
    async with cloned(template_database, server, administrator) as options:
        yield options


@asynccontextmanager
async def cloned(
    template: str, server: ConnectionOptions, administrator: Connection
) -> AsyncGenerator[ConnectionOptions]:
    """A copy of the template database, dropped at the end."""
    name = f"kasparro_test_{secrets.token_hex(4)}"
    await administrator.execute(f'create database "{name}" template "{template}" strategy file_copy')
    yield server.with_database(name)
    await administrator.execute(f'drop database "{name}" with (force)')


@pytest.fixture
async def connection(database: ConnectionOptions) -> AsyncIterator[Connection]:
    """A connection to the test's database."""
    connection = await connect(database, application_name="kasparro:test")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def stopped_home(home_root: Path) -> Path:
    """A home whose server was made and stopped, to be copied: cheaper than making one for each test."""
    home = home_root / "stopped"
    await start_server(home)
    await embedded.stop(home)
    layout_for(home).stopped.unlink()
    return home


@pytest.fixture
def made_home(home: Path, stopped_home: Path) -> Path:
    """A home whose server has been made, and is not running: for tests that are not about the making."""
    subprocess.run(["cp", "-a", str(stopped_home), str(home)], check=True)
    return home


@pytest.fixture
async def own_server(made_home: Path) -> OwnServer:
    """A server of the test's own; its database `kasparro` is empty."""
    return OwnServer(made_home, await start_server(made_home, **_FORGETFUL))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all connections that runs open, in order; those of the driver itself are among them."""
    texts: list[str] = []
    connect = connections.connect

    async def listening(*arguments: Any, **named: Any) -> Connection:
        connection = await connect(*arguments, **named)

        def note(query: asyncpg.connection.LoggedQuery) -> None:
            texts.append(query.query)

        connection.add_query_logger(note)
        return connection

    monkeypatch.setattr(connections, "connect", listening)
    return texts
