"""Data outside of its home, as root: it goes with the home that it was made for."""

import os
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from kasparro.core import embedded
from kasparro.core.database import connect
from kasparro.core.embedded import belonging, server
from kasparro.core.embedded.layout import layout_for
from tests.fix_database import start_server

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")


@pytest.fixture
async def closed_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """A home that the server's user cannot reach, and a system root beside it."""
    home.mkdir(mode=0o711)
    (home / "clone").mkdir(mode=0o700)
    for module in (server, belonging):
        monkeypatch.setattr(module, "layout_for", partial(layout_for, system_root=home / "system"))
    closed = home / "clone" / ".kasparro"
    yield closed
    await embedded.stop(closed, mode="immediate")


async def _remember(home: Path) -> list[str]:
    """The tables that are there; then there is one more."""
    connection = await connect(await start_server(home), application_name="kasparro:test")
    try:
        found = [
            row["relname"] for row in await connection.fetch("select relname from pg_class where relname ~ '^mem'")
        ]
        await connection.execute("create table memory ()")
    finally:
        await connection.close()
    return found


async def test_a_home_that_was_deleted_takes_its_data_along(closed_home: Path) -> None:
    assert await _remember(closed_home) == []
    folder = embedded.status(closed_home).folder
    assert folder.parent == closed_home.parent.parent / "system" / "servers"
    shutil.rmtree(closed_home)
    assert (embedded.status(closed_home).running, embedded.status(closed_home).version) == (False, None)
    assert await embedded.stop(closed_home) is False

    said: list[str] = []
    await embedded.ensure_running(closed_home, report=said.append)
    (aside,) = folder.parent.glob(f"{folder.name}.*")
    told = f"{folder} holds the data of a folder that was deleted: moved to {aside}, this one begins anew"
    assert told in said
    assert (aside / "data" / "PG_VERSION").exists()
    assert not (aside / "data" / "postmaster.pid").exists()
    assert await _remember(closed_home) == []


async def test_a_home_that_stays_keeps_its_data_also_from_before_there_were_notes(closed_home: Path) -> None:
    await _remember(closed_home)
    assert await embedded.stop(closed_home)
    (closed_home / belonging.NOTE_IN_HOME).unlink()
    (embedded.status(closed_home).folder / belonging.NOTE_IN_ROOT).unlink()
    connection = await connect(await start_server(closed_home), application_name="kasparro:test")
    assert await connection.fetchval("select count(*) from pg_class where relname = 'memory'") == 1
    await connection.close()
    assert embedded.status(closed_home).running
    note = (closed_home / belonging.NOTE_IN_HOME).read_text(encoding="utf-8")
    assert note.splitlines()[0] == str(embedded.status(closed_home).folder)
