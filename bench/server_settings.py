"""What settings of the embedded server do to loads: the same load under each of several settings, in turn; medians.

python -m bench.server_settings shipped wal_compression=off max_wal_size=1GB,checkpoint_timeout=5min

Each argument is one way to run the server: `shipped`, or settings that are changed, separated by commas; with a dot
they are a table's (`unified_data.fillfactor=100`). Each way has a server with data of its own, and only one runs at a
time. A round is a first load, then a second pass with every tenth row changed (`--every 1`: every row). `--new-data`
measures the very first load of a new server instead, which makes its WAL files as it goes.
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from kasparro.core import embedded
from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.embedded.lock import Patience
from kasparro.core.embedded.server import ensure
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import environment, kasparro
from tests.recovery.facts import url_of

CONFIGURATION = """
sources:
  - name: generated
    type: csv
    path: rows.csv
    key: id
    map:
      title: name
      category: kind
      value: amount
      occurred_at: at
      attributes: {note: note, code: code}
"""
HEADER = "id,name,kind,amount,at,code,note\n"
MEGABYTE = 1024**2
NOTE = "a note of some length that nobody reads which gives a row its 150 bytes: 0123456789"

COUNTS = """
select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal, pg_table_size(relid) as size, n_tup_upd as updated,
       n_tup_hot_upd as hot
from pg_stat_user_tables where relname = 'unified_data'
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one load cost. `checkpoint_seconds` is what it left to be written, `server_seconds` the server's CPU."""

    wall_seconds: float
    checkpoint_seconds: float
    server_seconds: float
    wal_megabytes: float
    table_megabytes: float
    hot_share: float
    """Of the updates of unified_data."""


def write_rows(file: Path, rows: int, *, changed_every: int | None) -> None:
    """A CSV file of about 150 bytes a row; every so-manieth row has another amount than without."""
    with file.open("w", encoding="utf-8") as out:
        out.write(HEADER)
        for n in range(rows):
            amount = n * 7 % 100_000 + (changed_every is not None and n % changed_every == 0)
            at = f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}T{n % 24:02d}:{n % 60:02d}:00Z"
            out.write(f"key-{n:09d},name of {n},kind{n % 50},{amount}.25,{at},{n * 2654435761 % 2**32:08x},{NOTE}\n")


class Way:
    """One way to run the server, with a home of its own."""

    def __init__(self, name: str, home: Path, files: Path) -> None:
        self.name = name
        settings = dict(item.split("=", 1) for item in name.split(",")) if name != "shipped" else {}
        self._settings = {name: value for name, value in settings.items() if "." not in name}
        self._of_tables = {name: value for name, value in settings.items() if "." in name}
        self.first: list[Load] = []
        self.second: list[Load] = []
        self._home = home
        self._files = files

    async def round(self, *, new_data: bool) -> None:
        """A first load, and unless it is about new data a second pass, on a server that is started for them."""
        options = await asyncio.to_thread(ensure, self._home, Patience(), settings=self._settings)
        try:
            await self._loads(options, new_data=new_data)
        finally:
            await embedded.stop(self._home)
            if new_data:
                shutil.rmtree(self._home)

    async def _loads(self, options: ConnectionOptions, *, new_data: bool) -> None:
        await upgrade(options)
        connection = await connect(options, application_name="kasparro:bench")
        try:
            await connection.execute("truncate sources, etl_runs, etl_checkpoints, unified_data, raw_csv_data cascade")
            for name, value in self._of_tables.items():
                table, _, parameter = name.partition(".")
                await connection.execute(f"alter table {table} set ({parameter} = {value})")
            self.first.append(await self._load(connection, options, "before"))
            if not new_data:
                self.second.append(await self._load(connection, options, "after"))
        finally:
            await connection.close()

    async def _load(self, connection: Connection, options: ConnectionOptions, folder: str) -> Load:
        await connection.execute("checkpoint")
        before, cpu = await self._counts(connection), self._server_seconds()
        variables = environment(DATABASE_URL=url_of(options))
        ended = await kasparro("run", "--quiet", "--full-refresh", env=variables, cwd=self._files / folder)
        assert ended.exit_code == 0, ended.stderr
        run = "select extract(epoch from finished_at - started_at)::float from etl_runs order by id desc limit 1"
        wall = await connection.fetchval(run)
        after = await self._counts(connection)
        started = time.perf_counter()
        await connection.execute("checkpoint")
        return Load(
            wall,
            time.perf_counter() - started,
            self._server_seconds() - cpu,
            (after["wal"] - before["wal"]) / MEGABYTE,
            after["size"] / MEGABYTE,
            (after["hot"] - before["hot"]) / max(1, after["updated"] - before["updated"]),
        )

    async def _counts(self, connection: Connection) -> dict[str, int]:
        row = await connection.fetchrow(COUNTS)
        assert row is not None
        return {name: int(value) for name, value in row.items()}

    def _server_seconds(self) -> float:
        """CPU of the server and all its processes so far, those that have ended included."""
        server = psutil.Process(embedded.status(self._home).pid)
        times = [process.cpu_times() for process in (server, *server.children())]
        return sum(each.user + each.system for each in times) + sum(server.cpu_times()[2:4])


def report(title: str, ways: Sequence[Way], loads: Sequence[Sequence[Load]]) -> None:
    """A line for each way: medians, and the run's time as a ratio to the first way's."""
    print(f"\n{title:<45}     run  ratio  checkpoint  server CPU     WAL    table   HOT")
    base = statistics.median(load.wall_seconds for load in loads[0])
    for way, measured in zip(ways, loads, strict=True):
        wall, rest, cpu, wal, table, hot = map(statistics.median, zip(*map(astuple, measured), strict=True))
        row = f"{way.name:<45} {wall:5.2f} s  {wall / base:5.2f}  {rest:8.2f} s  {cpu:8.2f} s  {wal:4.0f} MB"
        print(f"{row}  {table:4.0f} MB  {hot:4.0%}")


async def measure(names: Sequence[str], *, rounds: int, rows: int, every: int, new_data: bool) -> None:
    """Every way in turn, `rounds` times."""
    with tempfile.TemporaryDirectory(prefix="ksp-") as name:
        root = Path(name)
        root.chmod(0o711)  # noqa: ASYNC240  a bench has nothing else to do meanwhile
        for folder, changed in (("before", None), ("after", every)):
            (root / folder).mkdir()
            (root / folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
            write_rows(root / folder / "rows.csv", rows, changed_every=changed)
        ways = [Way(name, root / f"home{place}", root) for place, name in enumerate(names)]
        for _ in range(rounds):
            for way in ways:
                await way.round(new_data=new_data)
        report(f"first load of {rows:,} rows, {rounds} rounds", ways, [way.first for way in ways])
        if not new_data:
            report(f"second pass, 1 of {every} changed", ways, [way.second for way in ways])


def main() -> None:
    """Measure on embedded servers of a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="+", metavar="WAY")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--new-data", action="store_true")
    given = parser.parse_args()
    asyncio.run(measure(given.ways, rounds=given.rounds, rows=given.rows, every=given.every, new_data=given.new_data))


if __name__ == "__main__":
    main()
