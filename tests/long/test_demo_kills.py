"""The demo upstream frozen at a moment: each source of the shipped configuration, killed at every batch."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import ROOT, Ended, environment, finish, kasparro, start
from tests.recovery.facts import facts_of, url_of

SIGKILLED = -9
BATCH_RECORDS = 200
BATCHES = {"earthquakes_api": 6, "earthquakes_feed": 6, "earthquakes_csv": 9}


@dataclass(frozen=True)
class Place:
    """A folder whose configuration names each source as often as it is killed."""

    folder: Path
    env: dict[str, str]

    async def run(self, source: str, *arguments: str) -> Ended:
        return await kasparro("run", source, "--quiet", *arguments, env=self.env, cwd=self.folder)


@pytest.fixture
async def place(tmp_path: Path, database: ConnectionOptions) -> AsyncIterator[Place]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    env = environment(
        DATABASE_URL=url_of(database),
        KASPARRO_BATCH_RECORDS=str(BATCH_RECORDS),
        KASPARRO_DEMO_PORT=str(port),
        API_KEY=secrets.token_hex(16),
    )
    (tmp_path / "data").symlink_to(ROOT / "data")
    frozen = ["demo", "--port", str(port), "--at", "2018-02-04T12:00:00Z", "--no-limits"]
    demo = await start("-m", "kasparro", *frozen, env=env, cwd=tmp_path)
    async with asyncio.timeout(30):
        await until_answered(port)
    yield Place(tmp_path, env)
    demo.terminate()
    await finish(demo)


async def until_answered(port: int) -> None:
    """Return once the port takes connections; each refused attempt is a round of the event loop and no more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            continue
        writer.close()
        await writer.wait_closed()
        return


def write_configuration(folder: Path, source: str, names: list[str]) -> None:
    """The shipped source under each of these names."""
    shipped = yaml.safe_load((ROOT / "kasparro.yaml").read_text(encoding="utf-8"))["sources"]
    original = next(item for item in shipped if item["name"] == source)
    text = yaml.safe_dump({"sources": [{**original, "name": name} for name in names]}, sort_keys=False)
    (folder / "kasparro.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("source", list(BATCHES))
async def test_each_source_ends_the_same_wherever_it_is_killed(
    place: Place, connection: Connection, source: str
) -> None:
    kills = [(point, number) for number in range(1, BATCHES[source] + 1) for point in ("commit", "committed")]
    names = ["whole", *[f"{point}_{number}" for point, number in kills]]
    write_configuration(place.folder, source, names)
    assert (await place.run("whole")).exit_code == 0
    expected = await facts_of(connection, "whole")
    batches = await connection.fetchval("select batches from etl_runs order by id limit 1")
    assert batches == BATCHES[source]

    for point, number in kills:
        name = f"{point}_{number}"
        killed = await place.run(name, "--inject", f"{point}:kill:{number}")
        assert killed.exit_code == SIGKILLED, name
        again = await place.run(name)
        assert again.exit_code == 0, again.stderr
        assert await facts_of(connection, name) == expected, name
