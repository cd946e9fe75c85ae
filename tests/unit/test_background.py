"""Who runs in a home: locks that tell, askers that do not disturb one another, and strangers that are left alone."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kasparro.cli.background import DEMO, INHERITED, SERVER, Background, held_by_service
from kasparro.cli.processes import Running, began
from kasparro.core.errors import ConfigurationError, KasparroError, RunConflictError
from kasparro.core.settings import load_settings
from tests.unprivileged import unprivileged

HOLDER = """
import sys
from pathlib import Path
from kasparro.cli.background import SERVER, Background
with Background(Path(sys.argv[1]), SERVER).held("127.0.0.1", 8123):
    print("held", flush=True)
    sys.stdin.read()
"""
ASKER = """
import sys
from pathlib import Path
from kasparro.cli.background import SERVER, Background
print(sum(Background(Path(sys.argv[1]), SERVER).find() is not None for _ in range(400)))
"""
SLEEPER = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has nothing to do with kasparro."""
    with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the server's lock of the home `tmp_path`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def leave_behind(home: Path, process: Running) -> None:
    """The file of a holder that is gone."""
    text = json.dumps({"pid": process.pid, "host": "127.0.0.1", "port": 1, "began": process.began})
    (home / "serve.lock").write_text(text, encoding="utf-8")


def test_askers_at_once_never_take_one_another_for_the_holder(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    """Although the file names a process that lives, and describes it truly."""
    leave_behind(tmp_path, Running(stranger.pid, began=began(stranger.pid) or ""))
    start = threading.Barrier(8)

    def ask(_: int) -> int:
        start.wait()
        return sum(Background(tmp_path, SERVER).find() is not None for _ in range(300))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 0
    assert Background(tmp_path, SERVER).stop() is None
    assert stranger.poll() is None


async def test_asking_processes_never_take_one_another_for_the_holder(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    leave_behind(tmp_path, Running(stranger.pid, began=began(stranger.pid) or ""))
    askers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", ASKER, str(tmp_path), stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [(await asker.communicate())[0] for asker in askers] == [b"0\n"] * 3
    assert stranger.poll() is None


def test_a_holder_gets_the_lock_in_the_midst_of_askers(tmp_path: Path) -> None:
    background = Background(tmp_path, SERVER)
    leave_behind(tmp_path, Running(1))
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            background.find()

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(20):
            with background.held("127.0.0.1", 7):
                assert background.find() == Running(os.getpid(), "127.0.0.1", 7, began(os.getpid()) or "")
    finally:
        enough.set()
        for asker in askers:
            asker.join()


def test_a_holder_is_found_and_stopped(tmp_path: Path, holder: "subprocess.Popen[bytes]") -> None:
    background = Background(tmp_path, SERVER)
    found = background.find()
    assert found is not None
    assert (found.pid, found.url) == (holder.pid, "http://127.0.0.1:8123")
    with pytest.raises(RunConflictError, match="the API server already runs"), background.held():
        pass
    assert background.stop() == found
    assert holder.wait() == -signal.SIGTERM
    assert background.find() is None


def test_a_held_lock_that_names_a_stranger_is_believed_by_nobody(
    tmp_path: Path,
    holder: "subprocess.Popen[bytes]",
    stranger: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number is the stranger's, the beginning another's: as after a number was given away again."""
    monkeypatch.setattr("kasparro.cli.background.PATIENCE_SECONDS", 0.2)
    leave_behind(tmp_path, Running(stranger.pid, began=began(holder.pid) or ""))
    with pytest.raises(KasparroError, match="held, but by no process that can be seen"):
        Background(tmp_path, SERVER).stop()
    assert (stranger.poll(), holder.poll()) == (None, None)


def test_a_process_that_began_at_another_time_is_not_signalled(stranger: "subprocess.Popen[bytes]") -> None:
    other = Running(stranger.pid, began="1")
    assert not other.lives()
    other.send(signal.SIGKILL)
    assert stranger.poll() is None


def test_an_ended_process_does_not_live_and_takes_no_signal(stranger: "subprocess.Popen[bytes]") -> None:
    running = Running(stranger.pid, began=began(stranger.pid) or "")
    assert running.lives()
    running.send(signal.SIGKILL)
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    assert not running.lives()
    stranger.wait()
    running.send(signal.SIGKILL)


def test_what_a_process_was_started_with_is_held_on_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `start` passes it: the lock is held already, by the very descriptor."""
    background = Background(tmp_path, DEMO)
    descriptor = background._lock()
    monkeypatch.setenv(INHERITED, str(descriptor))
    with background.held("127.0.0.1", 9):
        assert INHERITED not in os.environ
        assert not os.get_inheritable(descriptor)
        assert background.find() == Running(os.getpid(), "127.0.0.1", 9, began(os.getpid()) or "")
    assert background.find() is None


@pytest.mark.parametrize("home", [Path("/dev/null"), Path("/dev/null/below")])
def test_a_home_that_is_no_folder_is_named(home: Path) -> None:
    background = Background(home, SERVER)
    with pytest.raises(ConfigurationError, match=r"the home /dev/null.* cannot be used") as caught:
        background.find()
    assert caught.value.hint == "set KASPARRO_HOME to a folder of your own"
    with pytest.raises(ConfigurationError, match="cannot be used"), background.held():
        pass


def test_a_home_of_somebody_else_is_named() -> None:
    home = Path(tempfile.mkdtemp())
    (home / "serve.lock").touch()
    home.chmod(0)
    background = Background(home, SERVER)
    try:
        with unprivileged():
            with pytest.raises(ConfigurationError, match="cannot be used: Permission denied"):
                background.find()
            with pytest.raises(ConfigurationError, match="cannot be used: Permission denied"), background.held():
                pass
            home_of_nobody = Background(Path("/proc/kasparro"), SERVER)  # nothing can be written there, by anybody
            assert home_of_nobody.find() is None
            with pytest.raises(ConfigurationError, match="cannot be used"), home_of_nobody.held():
                pass
    finally:
        home.chmod(0o700)
        shutil.rmtree(home)


def test_a_service_of_another_database_needs_no_home() -> None:
    told: list[str] = []
    settings = load_settings({"KASPARRO_HOME": "/dev/null", "DATABASE_URL": "postgresql://h/d"})
    with held_by_service(settings, SERVER, told.append):
        assert "will not see this process" in told[0]
    with (
        pytest.raises(ConfigurationError, match="cannot be used"),
        held_by_service(load_settings({"KASPARRO_HOME": "/dev/null"}), SERVER, told.append),
    ):
        pass
