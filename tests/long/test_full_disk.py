"""A disk that fills up under the embedded server: with data, and with its log. Needs the right to mount."""

import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kasparro.core import embedded
from kasparro.core.database import connect
from kasparro.core.embedded.account import server_account
from kasparro.core.embedded.layout import layout_for
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.fix_database import start_server
from tests.recovery.facts import facts_of

pytestmark = pytest.mark.long
ROWS = 60_000
MEGABYTE = 1024 * 1024
ROOM = {"data": 24 * MEGABYTE, "log": 24 * MEGABYTE}
"""What is left on the disk: much less than the rows take, more than making the tables takes."""
CONFIGURATION = """
sources:
  - {name: whole, type: csv, path: items.csv, key: id, map: {title: name, value: price, category: kind}}
  - {name: full, type: csv, path: items.csv, key: id, map: {title: name, value: price, category: kind}}
"""


@contextmanager
def disk(folder: Path, room_bytes: int) -> Iterator[None]:
    """Put what is in the folder onto a small disk of its own, for the time of the block."""
    used = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    status = folder.stat()
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    os.chown(folder, status.st_uid, status.st_gid)
    size = f"size={used + room_bytes}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        folder.rmdir()
        aside.rename(folder)
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.strip()}): needs root and CAP_SYS_ADMIN")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        os.chown(folder, status.st_uid, status.st_gid)
        folder.chmod(0o700)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def grow(folder: Path) -> None:
    """Make room, as whoever gives a machine a larger disk."""
    subprocess.run(["mount", "-o", f"remount,size={2048 * MEGABYTE}", str(folder)], check=True)


def write_files(folder: Path) -> None:
    rows = "".join(f"i{n},{'item ' * 8}{n},{n}.50,x\n" for n in range(ROWS))
    (folder / "items.csv").write_text("id,name,price,kind\n" + rows, encoding="utf-8")
    (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")


def log_elsewhere(home: Path) -> Path:
    """Move the server's log out of its data, as whoever gives it a disk of its own."""
    layout = layout_for(home)
    account = server_account(layout.data)
    elsewhere = layout.root / "wal"
    (layout.data / "pg_wal").rename(elsewhere)
    (layout.data / "pg_wal").symlink_to(elsewhere)
    os.lchown(layout.data / "pg_wal", account.uid, account.gid)
    return elsewhere


@pytest.mark.parametrize("what", list(ROOM))
async def test_full_disk_ends_the_run_with_a_remedy_and_the_next_one_completes_it(
    tmp_path: Path, made_home: Path, what: str
) -> None:
    write_files(tmp_path)
    env = environment(KASPARRO_HOME=str(made_home), KASPARRO_CONCURRENCY="2", KASPARRO_BATCH_RECORDS="2000")

    async def run(*arguments: str) -> Ended:
        return await kasparro(*arguments, env=env, cwd=tmp_path)

    log = log_elsewhere(made_home)
    small = log if what == "log" else layout_for(made_home).data
    with disk(small, ROOM[what]):
        try:
            await fill_and_complete(run, made_home, small)
        finally:
            await embedded.stop(made_home, mode="immediate")


async def fill_and_complete(run: Callable[..., Awaitable[Ended]], home: Path, small: Path) -> None:
    await upgrade(await start_server(home))
    refused = await run("run", "full", "--quiet")
    assert refused.exit_code == 5, refused.stderr
    assert "No space left on device" in refused.stderr
    assert "free disk space" in refused.stderr

    grow(small)
    options = await start_server(home)
    shown = await run("runs", "list", "--json")
    assert shown.exit_code == 0, shown.stderr
    assert {one["state"] for one in shown.document["data"]} <= {"failed", "interrupted"}
    for source in ("full", "whole"):
        ended = await run("run", source, "--quiet")
        assert ended.exit_code == 0, ended.stderr
    connection = await connect(options, application_name="kasparro:test")
    assert await facts_of(connection, "full") == await facts_of(connection, "whole")
    resumed = await connection.fetchval("select count(resumes_run_id) from etl_runs")
    assert resumed >= 1, "what was committed before was to be kept"
    await connection.close()
