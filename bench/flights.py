"""How long the flights take beside COPY of the same file into a bare table: medians of several, in turn.

python -m bench.flights --rounds 3     (DATABASE_URL, or the embedded server of a temporary home)
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench.server import on_a_server

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import environment, kasparro
from tests.long.flights import ROWS, write_flights
from tests.recovery.facts import url_of

BARE = """
create table bare (
    year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int, sched_arr_time int,
    arr_delay int, carrier text, flight int, tailnum text, origin text, dest text, air_time int, distance int, hour int,
    minute int, time_hour timestamptz)
"""


async def copy_seconds(connection: Connection, file: Path) -> float:
    """COPY into one typed table without an index."""
    await connection.execute("drop table if exists bare")
    await connection.execute(BARE)
    with file.open("rb") as source:
        started = time.perf_counter()
        await connection.copy_to_table("bare", source=source, format="csv", header=True, null="NA")
        seconds = time.perf_counter() - started
    assert await connection.fetchval("select count(*) from bare") == ROWS
    return seconds


async def load_seconds(options: ConnectionOptions, folder: Path) -> tuple[float, float]:
    """The whole `kasparro run` as a process, into empty tables: its wall time, and the run's own."""
    connection = await connect(options, application_name="kasparro:bench")
    await connection.execute("truncate sources, etl_runs, etl_checkpoints, unified_data, raw_csv_data cascade")
    await connection.close()
    started = time.perf_counter()
    ended = await kasparro("run", "--quiet", env=environment(DATABASE_URL=url_of(options)), cwd=folder)
    seconds = time.perf_counter() - started
    assert ended.exit_code == 0, ended.stderr
    connection = await connect(options, application_name="kasparro:bench")
    took = await connection.fetchval("select extract(epoch from finished_at - started_at)::float from etl_runs")
    await connection.close()
    return seconds, took


async def measure(options: ConnectionOptions, rounds: int) -> None:
    """Print each round and the medians."""
    await upgrade(options)
    with tempfile.TemporaryDirectory() as folder:
        file = write_flights(Path(folder))
        rows: list[tuple[float, float, float]] = []
        for _ in range(rounds):
            connection = await connect(options, application_name="kasparro:bench")
            bare = await copy_seconds(connection, file)
            await connection.close()
            rows.append((bare, *await load_seconds(options, Path(folder))))
            print("COPY {:.2f} s   kasparro run {:.2f} s (the run itself {:.2f} s)".format(*rows[-1]))
    bare, whole, run = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"median: COPY {bare:.2f} s, kasparro run {whole:.2f} s, ratio {whole / bare:.1f} (run itself {run / bare:.1f})"
    )


def main() -> None:
    """Measure on DATABASE_URL, or on an embedded server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    asyncio.run(on_a_server(lambda options: measure(options, rounds)))


if __name__ == "__main__":
    main()
