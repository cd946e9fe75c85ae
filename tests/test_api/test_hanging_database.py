"""A database whose processes stand still: it is there, takes connections, and never says a word."""

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kasparro.core import embedded
from kasparro.services.migrations import upgrade
from tests.fix_database import OwnServer
from tests.test_api.test_health import client_over

LONGEST_SECONDS = 5
"""An answer comes within a second; on a machine that is busy with other tests a little later."""


def _processes(home: Path) -> list[int]:
    """The server and its children."""
    postmaster = embedded.status(home).pid
    assert postmaster is not None
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
    return [postmaster, *map(int, children)]


@contextmanager
def standing_still(home: Path) -> Generator[None]:
    processes = _processes(home)
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("path", ["/health", "/data"])
async def test_a_hanging_database_is_a_503_in_time_each_time_and_forgotten(own_server: OwnServer, path: str) -> None:
    await upgrade(own_server.options)
    async with client_over(own_server.options) as (client, _):
        assert (await client.get(path)).status_code == 200
        with standing_still(own_server.home):
            for _ in range(4):
                started = time.monotonic()
                assert (await client.get(path)).status_code == 503
                assert time.monotonic() - started < LONGEST_SECONDS
        assert (await client.get(path)).status_code == 200
