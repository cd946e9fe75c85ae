"""Reading speed of the csv source: `python bench/csv_reading.py FILE...` prints microseconds a row.

Beside it stands Python's csv module over the same file, decoded and split the usual way, without building records.
"""

import asyncio
import csv
import sys
import time
from pathlib import Path

from kasparro.ingestion.source import FinalBatch, Start
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource


def main(paths: list[str]) -> None:
    """Measure each file three times and print the best."""
    for path in paths:
        rows, ours = min((_read(Path(path)) for _ in range(3)), key=lambda result: result[1])
        plain = min(_read_plainly(Path(path)) for _ in range(3))
        print(
            f"{path}: {rows:,} rows, {ours:.2f} s, {ours / max(1, rows) * 1e6:.2f} us a row; "
            f"csv module alone {plain:.2f} s, {plain / max(1, rows) * 1e6:.2f} us a row"
        )


def _read(path: Path) -> tuple[int, float]:
    source = CsvSource(CsvOptions(name="bench", pattern=path.name, base_dir=path.parent), dict)
    begin = time.perf_counter()
    rows = asyncio.run(_count(source))
    return rows, time.perf_counter() - begin


async def _count(source: CsvSource) -> int:
    rows = 0
    for partition in await source.partitions():
        async for batch in source.read(partition, Start()):
            rows += 0 if isinstance(batch, FinalBatch) else len(batch.records)
    return rows


def _read_plainly(path: Path) -> float:
    begin = time.perf_counter()
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        for _ in csv.reader(lines):
            pass
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(sys.argv[1:])
