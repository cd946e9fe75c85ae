"""A database that is stopped under load, and one without a free connection: what callers of a real server see of it."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx

from kasparro.core import embedded
from kasparro.core.database import ConnectionOptions, connect
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import ROOT, environment, start
from tests.fix_database import LOCK_WAITERS, OwnServer
from tests.recovery.facts import url_of

PATHS = ("/data?limit=10", "/health")
STOPS: tuple[Literal["fast", "immediate"], ...] = ("fast", "immediate")
CLIENTS = 4
ANSWERS = 30
"""Of each path, in each state of the database, before it goes on."""
LATEST_SECONDS = 6.0
"""Far more than an answer takes, on a busy machine too; far less than a client waits."""


class Load:
    """Clients that ask without a pause, and what they were answered."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.seen: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self._news = asyncio.Condition()

    async def ask(self, path: str) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            answer = await self._client.get(path)
            self._judge(path, answer, loop.time() - started)
            async with self._news:
                self.seen[path, answer.status_code] += 1
                self._news.notify_all()

    async def until(self, reached: Callable[[Counter[tuple[str, int]]], bool]) -> None:
        """Wait until what has been seen since now is enough."""
        before = self.seen.copy()
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: reached(self.seen - before))

    def _judge(self, path: str, answer: httpx.Response, seconds: float) -> None:
        told = f"{path}: {answer.status_code} after {seconds:.2f} s: {dict(answer.headers)} {answer.text[:300]}"
        if answer.status_code not in (200, 503) or seconds > LATEST_SECONDS:
            self.wrong.append(told)
        if answer.status_code == 503:
            kind = "application/json" if path == "/health" else "application/problem+json"
            if answer.headers["content-type"] != kind or not answer.headers.get("retry-after", "").isdecimal():
                self.wrong.append(told)


@asynccontextmanager
async def load_on(url: str) -> AsyncGenerator[Load]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        load = Load(client)
        tasks = [asyncio.create_task(load.ask(path)) for path in PATHS for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            all_ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(ended) for ended in all_ended} == {asyncio.CancelledError}, all_ended


@asynccontextmanager
async def serving(folder: Path, port: int, **variables: str) -> AsyncGenerator[str]:
    """The URL of `kasparro serve`; it must end as it should, which it does not after an error that nobody caught."""
    env = environment(KASPARRO_HOME=str(folder), KASPARRO_REQUESTS_PER_MINUTE="0", **variables)
    process = await start("-m", "kasparro", "serve", "--port", str(port), env=env, cwd=ROOT)
    assert process.stdout is not None
    while b"server.started" not in (line := await process.stdout.readline()):
        assert line
    drained = asyncio.gather(process.stdout.read(), finish_errors(process))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        log, errors = await drained
        await process.wait()
    assert errors == b""
    assert process.returncode == 143
    assert b"http.crashed" not in log
    assert b"log.asyncio" not in log  # where errors that nobody waits for are told of


async def finish_errors(process: asyncio.subprocess.Process) -> bytes:
    assert process.stderr is not None
    return await process.stderr.read()


def all_are(status: int) -> Callable[[Counter[tuple[str, int]]], bool]:
    return lambda seen: all(seen[path, status] >= ANSWERS for path in PATHS)


async def test_callers_see_200_and_503_alone_and_200_again_without_a_restart(
    tmp_path: Path, port: int, own_server: OwnServer
) -> None:
    """The server is stopped in order, and then as by a crash."""
    await upgrade(own_server.options)
    async with (
        serving(tmp_path, port, DATABASE_URL=url_of(own_server.options)) as url,
        load_on(url) as load,
    ):
        for mode in STOPS:
            await load.until(all_are(200))
            await embedded.stop(own_server.home, mode=mode)
            await load.until(all_are(503))
            await own_server.start()
        await load.until(all_are(200))
    assert load.wrong == []


async def test_a_caller_for_whom_no_connection_is_left_gets_503_and_when_to_come_back(
    tmp_path: Path, port: int, database: ConnectionOptions
) -> None:
    """Two connections, one of them kept for /health; the other waits for a lock that is held as long as it takes."""
    blocker = await connect(database, application_name="kasparro:test-blocker")
    async with (
        serving(tmp_path, port, DATABASE_URL=url_of(database), KASPARRO_API_CONNECTIONS="2") as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        await blocker.execute("begin; lock table unified_data in access exclusive mode")
        slow = asyncio.create_task(client.get("/data"))
        while await blocker.fetchval(LOCK_WAITERS) == 0:
            assert not slow.done()
        refused = await asyncio.gather(*(client.get("/data") for _ in range(8)))
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "database_full")}
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert (await client.get("/health")).status_code == 200
        await blocker.execute("commit")
        assert (await slow).status_code == 200
        assert (await client.get("/data")).status_code == 200
    await blocker.close()
