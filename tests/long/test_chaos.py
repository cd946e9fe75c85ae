"""`kasparro chaos` in full: every fault on every kind of source, and a thousand kills at random moments."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import ROOT, environment, finish, start
from tests.long.flights import write_flights
from tests.recovery.facts import url_of

LONGEST_SECONDS = 3 * 3600
MOMENTS = {"flights": 300, "earthquakes_api": 500, "earthquakes_feed": 450}
"""A thousand kills in all: some moments come when a run has ended already, most of them for the API."""
KILLS = 0.7
"""Of the moments, at least."""
BETWEEN_COMMITS = 0.7
"""Of the kills, at least: those before the first commit and after the last prove less."""


async def chaos(env: dict[str, str], cwd: Path, *arguments: str) -> list[dict[str, Any]]:
    """What the command tried, after it found no difference."""
    process = await start("-m", "kasparro", "chaos", *arguments, "--json", "--quiet", env=env, cwd=cwd)
    async with asyncio.timeout(LONGEST_SECONDS):
        stdout, stderr = await process.communicate()
    assert process.returncode == 0, stdout.decode() + stderr.decode()

    return json.loads(stdout)["data"]


@pytest.fixture
async def demo(tmp_path: Path, empty_database: ConnectionOptions) -> AsyncIterator[dict[str, str]]:
    """The shipped configuration over a demo upstream whose week stands still; yields the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    env = environment(DATABASE_URL=url_of(empty_database), KASPARRO_DEMO_PORT=str(port), API_KEY=secrets.token_hex(16))
    for name in ("data", "kasparro.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    frozen = ["demo", "--port", str(port), "--at", "2018-02-04T12:00:00Z", "--no-limits"]
    upstream = await start("-m", "kasparro", *frozen, env=env, cwd=tmp_path)
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                continue
            writer.close()
            break
    yield env
    upstream.terminate()
    await finish(upstream)


@pytest.mark.parametrize("source", ["earthquakes_api", "earthquakes_csv", "earthquakes_feed"])
async def test_every_fault_at_the_first_batches_of_every_lane(
    demo: dict[str, str], tmp_path: Path, administrator: Connection, source: str
) -> None:
    tried = await chaos(demo, tmp_path, source, "--batches", "4", "--concurrency", "3")
    assert len(tried) == 2 * 4 * 4 + 4 * 4 * 4 * 3
    assert [attempt["plan"] for attempt in tried if not attempt["struck"]] == []
    assert await administrator.fetchval("select count(*)::int from pg_database where datname like '%scratch%'") == 0


@pytest.mark.parametrize("source", ["earthquakes_api", "earthquakes_feed"])
async def test_random_kills_of_the_demo(demo: dict[str, str], tmp_path: Path, source: str) -> None:
    tried = await chaos(demo, tmp_path, source, "--batches", "0", "--random", str(MOMENTS[source]))
    assert_mostly_between(tried, MOMENTS[source])


async def test_random_kills_of_the_flights(tmp_path: Path, empty_database: ConnectionOptions) -> None:
    write_flights(tmp_path)
    env = environment(DATABASE_URL=url_of(empty_database))
    moments = MOMENTS["flights"]
    tried = await chaos(env, tmp_path, "flights", "--batches", "0", "--random", str(moments))
    assert_mostly_between(tried, moments)


def assert_mostly_between(tried: list[dict[str, Any]], moments: int) -> None:
    killed, between = sum(each["kills"] for each in tried), sum(each["kills_between_commits"] for each in tried)
    print(f"{moments} moments, {killed} kills, {between} between the first and the last commit")
    assert killed >= KILLS * moments
    assert between >= BETWEEN_COMMITS * killed
