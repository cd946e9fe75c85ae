"""`kasparro status --watch`: one screen on a terminal, lines elsewhere; a database that goes away comes back."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import environment, kasparro, start
from tests.fix_database import OwnServer
from tests.recovery.facts import url_of

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
ROWS = """
insert into sources (name, type, identity, config_hash, last_success_at, interval_seconds, circuit_state)
values ('quakes', 'csv', '{}', '', now() - interval '2 hours', 300, 'open'),
       ('news', 'rss', '{}', '', now() - interval '1 minute', 300, 'closed');
insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code)
select id, 'schedule', 'failed', now() - interval '3 minutes', now() - interval '3 minutes', 'source'
from sources where name = 'quakes';
insert into etl_runs (source_id, trigger, state, started_at, finished_at)
select id, 'schedule', 'succeeded', now() - interval '1 minute', now() - interval '1 minute'
from sources where name = 'news';
insert into rejected_records
    (source_id, run_id, code, message, content_hash, raw_id, locator, first_seen_at, last_seen_at)
select id, 1, 'bad', 'bad', 'x', 1, 'p:1', now(), now() from sources where name = 'quakes';
"""
CONFIGURATION = (
    "sources:\n  - {name: news, type: csv, path: news.csv, key: id, map: {title: id}, schedule: {every: 5m}}\n"
)


class Terminal:
    """A terminal of 40 lines and 160 columns with the command in it."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._master = master
        self._seen = bytearray()
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody is at the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self._seen += data
        self._more.set()

    async def until(self, *words: str, lacks: str | None = None) -> str:
        """Wait for a screen with all of these words, and without another."""
        async with asyncio.timeout(60):
            while True:
                screen = bytes(self._seen).rpartition(b"\x1b[H\x1b[2J")[2].decode()
                if all(word in screen for word in words) and (lacks is None or lacks not in screen):
                    return screen
                self._more.clear()
                await self._more.wait()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    async def end(self) -> tuple[int, bytes]:
        """The exit code, and all that was written."""
        async with asyncio.timeout(30):
            code = await self.process.wait()
        await asyncio.sleep(0)
        return code, bytes(self._seen)


@asynccontextmanager
async def terminal(folder: Path, home: Path, options: ConnectionOptions) -> AsyncGenerator[Terminal]:
    (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    env = environment(KASPARRO_HOME=str(home), DATABASE_URL=url_of(options), TERM="xterm", COLUMNS="160", LINES="40")
    command = (sys.executable, "-m", "kasparro", "status", "--watch", "--every", "0.2")
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=folder, stdin=slave, stdout=slave, stderr=slave, preexec_fn=os.setsid
    )
    os.close(slave)
    shown = Terminal(process, master)
    try:
        yield shown
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


async def test_one_screen_tells_of_each_source_and_q_ends_it(
    tmp_path: Path, home: Path, database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute(ROWS)
    async with terminal(tmp_path, home, database) as shown:
        screen = await shown.until("quakes", "news")
        quakes = next(line for line in screen.splitlines() if "quakes" in line)
        for word in ("1 failed", "3 min", "2 h ago", "no scheduler", "stale, circuit open"):
            assert word in quakes, quakes
        news = next(line for line in screen.splitlines() if "news" in line)
        assert "2 succeeded" in news
        await connection.execute("insert into workers (name) values ('here:1')")
        assert "in 3 min" in await shown.until("in 3 min", "fresh")
        shown.press(b"q")
        code, written = await shown.end()
    assert code == 0
    assert (written.count(ENTER), written.rstrip().endswith(LEAVE)) == (1, True)


async def test_a_run_at_work_shows_its_progress(
    tmp_path: Path, home: Path, database: ConnectionOptions, connection: Connection
) -> None:
    """With a lock as a run holds it, for a run that nobody is at work on is dead."""
    await connection.execute(ROWS)
    holder = await connect(database, application_name="kasparro:test-run")
    await holder.execute("select pg_advisory_lock(27489, id) from sources where name = 'news'")
    run_id = await connection.fetchval("""
        insert into etl_runs (source_id, trigger, state, started_at)
        select id, 'schedule', 'running', now() - interval '10 seconds' from sources where name = 'news' returning id
    """)
    batch = """
        insert into etl_run_batches (run_id, partition, lane, seq, ordinal, digest_delta, seen, fetched, inserted)
        values ($1, 'p', 0, $2, $2, 0, '', 10000, 10000)
    """
    await connection.execute(batch, run_id, 1)
    async with terminal(tmp_path, home, database) as shown:
        screen = await shown.until(f"{run_id} running", "10,000", "now")
        assert "/s" in screen
        await connection.execute(batch, run_id, 2)
        await shown.until("20,000")
        shown.process.send_signal(signal.SIGINT)
        assert (await shown.end())[0] == 0
    await holder.close()


async def test_a_database_that_goes_away_is_said_and_comes_back(tmp_path: Path, own_server: OwnServer) -> None:
    await upgrade(own_server.options)
    connection = await connect(own_server.options, application_name="kasparro:test-watch")
    await connection.execute(ROWS)
    await connection.close()
    async with terminal(tmp_path, tmp_path / "home", own_server.options) as shown:
        await shown.until("quakes", "news")
        await own_server.crash()
        screen = await shown.until("database: ", "what was seen", "quakes")
        assert "ago:" in screen
        await own_server.start()
        await shown.until("quakes", lacks="what was seen")
        shown.press(b"q")
        assert (await shown.end())[0] == 0


async def test_without_a_terminal_there_are_lines_each_time_and_an_interrupt_is_the_usual_end(
    tmp_path: Path, home: Path, database: ConnectionOptions, connection: Connection
) -> None:
    await connection.execute(ROWS)
    env = environment(KASPARRO_HOME=str(home), DATABASE_URL=url_of(database))
    process = await start("-m", "kasparro", "status", "--watch", "--every", "0.2", env=env, cwd=tmp_path)
    assert process.stdout is not None
    seen = list[str]()
    async with asyncio.timeout(60):
        while sum("quakes" in line for line in seen) < 3:
            seen.append((await process.stdout.readline()).decode())
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert not [line for line in seen if "\x1b" in line]
    assert sum(line.startswith("kasparro status, ") for line in seen) == 3


async def test_watching_is_for_people(tmp_path: Path, home: Path) -> None:
    ended = await kasparro("status", "--watch", "--json", env=environment(KASPARRO_HOME=str(home)), cwd=tmp_path)
    assert (ended.exit_code, ended.document["error"]["code"]) == (2, "usage")
