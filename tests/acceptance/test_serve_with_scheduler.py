"""`kasparro serve --with-scheduler`: one command that answers and loads, as a small cloud runs it."""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kasparro.cli.background import SCHEDULER, SERVER, Background
from kasparro.core.api_keys import make_key
from kasparro.core.database import Connection, ConnectionOptions
from kasparro.services import keys
from tests.acceptance.kasparro_process import Ended, environment, finish, kasparro, start
from tests.fix_database import LOCK_WAITERS
from tests.recovery.facts import url_of

CONFIGURATION = """
sources:
  - {name: trades, type: csv, path: trades.csv, key: id, schedule: {every: 7d}, map: {title: id, value: price}}
  - {name: orders, type: csv, path: orders.csv, key: id, schedule: {every: 7d}, map: {title: id}}
"""


class Cloud:
    """A folder with a configuration, a port, a database that others keep, and a key that may operate."""

    def __init__(self, folder: Path, port: int, database: ConnectionOptions) -> None:
        self.folder = folder
        self.port = port
        self.key = make_key()
        home = {"KASPARRO_HOME": str(folder / "home"), "KASPARRO_PORT": str(port)}
        self.env = environment(DATABASE_URL=url_of(database), **home)
        (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
        (folder / "trades.csv").write_text("id,price\na,1.50\nb,2\n", encoding="utf-8")
        (folder / "orders.csv").write_text("id\nx\n", encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await start("-m", "kasparro", *arguments, env=self.env, cwd=self.folder)

    def pid(self, name: str) -> int | None:
        """The process of this name in the home."""
        running = Background(self.folder / "home", name).find()
        return None if running is None else running.pid


class Served:
    """The command at work."""

    def __init__(self, cloud: Cloud, process: asyncio.subprocess.Process) -> None:
        self.cloud = cloud
        self.process = process
        self.said = b""

    async def listen(self, words: bytes) -> dict[str, Any]:
        """The next line of its log that has these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while True:
                line = await self.process.stdout.readline()
                assert line, self.said.decode()
                self.said += line
                if words in line:
                    return json.loads(line)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.cloud.port, timeout=60)
        try:
            given = {"Authorization": f"Bearer {self.cloud.key.text}", "Content-Type": "application/json", **headers}
            connection.request(method, path, None if body is None else json.dumps(body), given)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if path != "/metrics" else text.decode()
        finally:
            connection.close()


@pytest.fixture
async def cloud(tmp_path: Path, port: int, database: ConnectionOptions, connection: Connection) -> Cloud:
    made = Cloud(tmp_path, port, database)
    await keys.insert(connection, made.key, name="cloud", scope="operate", expires_at=None)
    return made


@pytest.fixture
async def served(cloud: Cloud) -> AsyncIterator[Served]:
    """It answers, and both sources were loaded once."""
    process = await cloud.start("serve", "--with-scheduler")
    served = Served(cloud, process)
    await served.listen(b"server.started")
    await served.listen(b"scheduler.next")
    await served.listen(b"scheduler.next")
    yield served
    if process.returncode is None:
        process.terminate()
    await process.communicate()


async def test_a_cloud_scheduler_asks_for_a_run_and_waits_for_it(served: Served) -> None:
    """From the request to the answer within two processes, and at once: long before the scheduler looks by itself."""
    with (served.cloud.folder / "trades.csv").open("a", encoding="utf-8") as file:
        file.write("c,3\n")
    status, answer = await served.ask("POST", "/runs?wait=true", {"source": "trades"}, **{"Idempotency-Key": "k1"})
    assert status == 200, answer
    run = answer["data"][0]
    assert (run["state"], run["trigger"], run["records"]["inserted"]) == ("succeeded", "api", 1)
    again, repeated = await served.ask("POST", "/runs?wait=true", {"source": "trades"}, **{"Idempotency-Key": "k1"})
    assert (again, repeated["data"]) == (200, answer["data"])
    (served.cloud.folder / "trades.csv").unlink()
    status, problem = await served.ask("POST", "/runs?wait=true")
    assert (status, problem["code"]) == (502, "run_failed")
    assert "trades: run 4 ended failed" in problem["detail"]
    _, stats = await served.ask("GET", "/stats")
    assert stats["data"]["all"]["runs"]["ended"] == 5
    _, metrics = await served.ask("GET", "/metrics")
    assert 'kasparro_runs_total{source="trades",status="failed"} 1.0' in metrics


async def test_a_signal_ends_both_once_the_batch_is_in(served: Served, connection: Connection) -> None:
    """A lock keeps the batch from ending; a caller that waits for the run is told how far it has come."""
    await connection.execute("begin; lock table etl_run_batches in share mode")
    (served.cloud.folder / "trades.csv").write_text("id,price\nz,9\n", encoding="utf-8")
    asked = asyncio.create_task(served.ask("POST", "/runs?wait=true", {"source": "trades"}))
    async with asyncio.timeout(60):
        while not await connection.fetchval(LOCK_WAITERS):
            assert served.process.returncode is None
    served.process.send_signal(signal.SIGTERM)
    status, answer = await asked
    assert (status, answer["data"][0]["state"]) == (202, "running")
    await served.listen(b"server.stopped")
    await connection.execute("commit")
    ended = await finish(served.process)
    assert ended.exit_code == 143
    log = ended.stdout
    assert '"scheduler.stopped"' in log
    assert await connection.fetchval("select count(*) from unified_data where record_key = 'z'") == 1
    assert await connection.fetchval("select count(*) from workers") == 0


async def test_the_scheduler_comes_back_alone_and_goes_with_the_api(served: Served) -> None:
    """Killed, it is started again while the API answers; when the API is killed, it ends at a batch's edge."""
    scheduler = served.cloud.pid(SCHEDULER)
    assert scheduler is not None
    assert served.cloud.pid(SERVER) == served.process.pid
    os.kill(scheduler, signal.SIGKILL)
    assert "-9" in (await served.listen(b"scheduler.died"))["message"]
    assert (await served.ask("GET", "/health/live"))[0] == 200
    await served.listen(b"scheduler.started")
    assert (await served.ask("POST", "/runs?wait=true", {"source": "orders"}))[0] == 200
    served.process.kill()
    await served.listen(b"scheduler.stopped")
    deadline = time.monotonic() + 30
    while served.cloud.pid(SCHEDULER) is not None:
        assert time.monotonic() < deadline


async def test_a_second_signal_ends_both_at_once(served: Served, connection: Connection) -> None:
    """While a lock keeps the batch from ending."""
    await connection.execute("begin; lock table etl_run_batches in share mode")
    (served.cloud.folder / "trades.csv").write_text("id,price\nz,9\n", encoding="utf-8")
    assert (await served.ask("POST", "/runs", {"source": "trades"}))[0] == 202
    await served.listen(b"run.started")
    served.process.send_signal(signal.SIGTERM)
    await served.listen(b"server.stopped")
    served.process.send_signal(signal.SIGTERM)
    ended = await finish(served.process)
    assert (ended.exit_code, ended.stderr) == (143, "")
    await connection.execute("commit")
    assert await connection.fetchval("select count(*) from unified_data where record_key = 'z'") == 0


async def test_a_second_scheduler_of_the_home_is_refused(cloud: Cloud) -> None:
    alone = await cloud.start("scheduler")
    assert alone.stdout is not None
    while b"scheduler.started" not in await alone.stdout.readline():
        assert alone.returncode is None
    ended = await cloud.kasparro("serve", "--with-scheduler")
    assert ended.exit_code == 8, ended.stderr
    assert "already runs" in ended.stderr
    alone.send_signal(signal.SIGTERM)
    assert (await finish(alone)).exit_code == 143


async def test_a_configuration_that_is_wrong_ends_both(cloud: Cloud) -> None:
    (cloud.folder / "kasparro.yaml").write_text("sources: 5\n", encoding="utf-8")
    ended = await cloud.kasparro("serve", "--with-scheduler")
    assert ended.exit_code == 3, ended.stderr
    assert "sources" in ended.stderr
