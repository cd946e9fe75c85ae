"""Peak memory over the size of the input: generated CSV rows, PSS of the process tree without the server.

    python -m bench.memory --rows 500000 5000000     (DATABASE_URL, or the embedded server of a temporary home)

PSS (proportional set size) is read from /proc/PID/smaps_rollup every 50 ms; Linux only.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions, connect
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import environment, start
from tests.recovery.facts import url_of

CONFIGURATION = """
sources:
  - name: generated
    type: csv
    path: rows.csv
    key: id
    map: {title: name, value: price, category: kind, occurred_at: time, attributes: {note: note}}
"""


def write_rows(folder: Path, rows: int) -> None:
    """About 110 bytes a row, every one different."""
    (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    with (folder / "rows.csv").open("w", encoding="utf-8") as file:
        file.write("id,name,price,kind,time,note\n")
        for n in range(rows):
            second = n % 60
            file.write(
                f"r{n:09d},record number {n},{n % 100_000}.{n % 100:02d},kind{n % 7},"
                f"2026-01-{n % 28 + 1:02d}T12:{n % 59:02d}:{second:02d}Z,a note of some length {n * 7919}\n"
            )


def pss_bytes(root: int) -> int:
    """PSS of a process and its descendants; those that have just ended count nothing."""
    try:
        family = [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for pid in family:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


async def peak(options: ConnectionOptions, rows: int) -> tuple[int, float]:
    """Peak PSS in bytes and seconds of `kasparro run` over so many rows, into a fresh source."""
    connection = await connect(options, application_name="kasparro:bench")
    await connection.execute("truncate sources, etl_runs, etl_checkpoints, unified_data, raw_csv_data cascade")
    await connection.close()
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), rows)
        began = time.perf_counter()
        env = environment(DATABASE_URL=url_of(options))
        process = await start("-m", "kasparro", "run", "--quiet", env=env, cwd=Path(folder))
        ended = asyncio.create_task(process.communicate())
        highest = 0
        while not ended.done():
            highest = max(highest, await asyncio.to_thread(pss_bytes, process.pid))
            await asyncio.wait({ended}, timeout=0.05)
        _, stderr = await ended
        assert process.returncode == 0, stderr.decode()
        return highest, time.perf_counter() - began


async def measure(options: ConnectionOptions, sizes: list[int]) -> None:
    """Print the peak for each size, and its ratio to the first."""
    await upgrade(options)
    first = 0
    for rows in sizes:
        highest, seconds = await peak(options, rows)
        first = first or highest
        print(f"{rows:>12,} rows: peak {highest / 2**20:7.1f} MiB, {highest / first:.3f} of the first, {seconds:.1f} s")


def main() -> None:
    """Measure on DATABASE_URL, or on an embedded server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 5_000_000])
    sizes = parser.parse_args().rows
    asyncio.run(on_a_server(lambda options: measure(options, sizes)))


if __name__ == "__main__":
    main()
