"""Peak memory and time over the size of the input: generated CSV rows, PSS of the process tree without the server.

    python -m bench.memory --rows 500000 1000000 5000000 10000000

PSS (proportional set size) is read from /proc/PID/smaps_rollup every 50 ms; Linux only. On the server of DATABASE_URL
(whose kasparro tables are emptied!), or on an embedded one.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from bench.commands import run_once
from bench.datasets import GENERATED
from bench.ground import RESET
from bench.measuring import Part, machine, progress, report, table
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions, connect
from kasparro.services.migrations import upgrade

REFERENCE_ROWS: Final = 1_000_000
SAMPLE_EVERY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Peak:
    """What one first load took."""

    rows: int
    peak_bytes: int
    seconds: float


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


async def peak(options: ConnectionOptions, rows: int) -> Peak:
    """Of `kasparro run` over so many rows, into empty tables."""
    connection = await connect(options, application_name="kasparro:bench")
    await connection.execute(RESET)
    await connection.execute("checkpoint")
    await connection.close()
    highest = 0

    async def watch(process: int) -> None:
        nonlocal highest
        while True:
            highest = max(highest, await asyncio.to_thread(pss_bytes, process))
            await asyncio.sleep(SAMPLE_EVERY_SECONDS)

    with tempfile.TemporaryDirectory(prefix="ksp-bench-") as folder:
        GENERATED.write(Path(folder), rows)
        began = time.perf_counter()
        outcome = await run_once(options, Path(folder), watcher=watch)
        seconds = time.perf_counter() - began
    if outcome["records"]["inserted"] != rows:
        raise RuntimeError(f"{outcome['records']['inserted']} rows stored, {rows} expected")
    return Peak(rows, highest, seconds)


def shown(peaks: Sequence[Peak]) -> str:
    """Each beside the one of a million rows, or else the first."""
    reference = next((one for one in peaks if one.rows == REFERENCE_ROWS), peaks[0])
    rows = [
        (
            f"{one.rows:,}", f"{one.peak_bytes / 2**20:.0f}", f"{one.peak_bytes / reference.peak_bytes:.2f}",
            f"{one.seconds:.1f}", f"{one.seconds / reference.seconds:.2f}", f"{one.rows / one.seconds:,.0f}",
        )
        for one in peaks
    ]  # fmt: skip
    beside = f"of {reference.rows:,}'s"
    return table(("rows", "peak MiB", beside, "seconds", beside, "rows/s"), rows)


def figures_of(peaks: Sequence[Peak]) -> dict[str, float]:
    """How the largest compares with a million rows, where both were measured."""
    by_rows = {one.rows: one for one in peaks}
    small, large = by_rows.get(REFERENCE_ROWS), by_rows.get(10 * REFERENCE_ROWS)
    if small is None or large is None:
        return {}
    return {
        "memory: 10 million rows / 1 million": large.peak_bytes / small.peak_bytes,
        "memory: MB at 10 million rows": large.peak_bytes / 1e6,
        "time: 10 million rows / 1 million": large.seconds / small.seconds,
    }


async def measure(options: ConnectionOptions, sizes: Sequence[int]) -> Part:
    """Each size once, into the same server."""
    await upgrade(options)
    peaks: list[Peak] = []
    for rows in sizes:
        peaks.append(await peak(options, rows))
        progress(f"memory {rows:,} rows: {peaks[-1].peak_bytes / 2**20:.0f} MiB, {peaks[-1].seconds:.1f} s")
    text = f"Memory: first loads of generated rows\n\n{shown(peaks)}"
    return Part("memory", text, {"peaks": [asdict(one) for one in peaks]}, figures_of(peaks))


async def run(options: ConnectionOptions, sizes: Sequence[int]) -> tuple[dict[str, Any], list[Part]]:
    """The machine, and the one part."""
    return await machine(options), [await measure(options, sizes)]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, REFERENCE_ROWS, 5_000_000])
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()
    report(*asyncio.run(on_a_server(lambda options: run(options, arguments.rows))), arguments.json)


if __name__ == "__main__":
    main()
