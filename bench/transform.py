"""How long a CSV row takes from raw record to what the store writes: `python -m bench.transform FLIGHTS.csv [ROWS]`."""

import csv
import sys
import time
from itertools import islice
from pathlib import Path

from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.source import SourceRecord
from kasparro.schemas.configuration import parse_configuration
from tests.long.flights import CONFIGURATION

BATCH_RECORDS = 20_000


def main(path: Path, rows: int) -> None:
    """Print microseconds a row: the best batch, and the mean of all."""
    transformer = build_transformer(parse_configuration(CONFIGURATION, {}).sources[0])
    seconds: list[float] = []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        for start in range(0, rows, BATCH_RECORDS):
            batch = [
                SourceRecord(dict(row), f"{path.name}:{line}")
                for line, row in enumerate(islice(reader, min(BATCH_RECORDS, rows - start)), start + 2)
            ]
            begun = time.perf_counter()
            result = transformer.transform(batch, start + 1)
            seconds.append((time.perf_counter() - begun) / len(batch))
            assert len(result.accepted) == len(batch), result.rejected[:1]
    mean = sum(seconds) / len(seconds)
    print(f"{rows:,} rows: best batch {min(seconds) * 1e6:.1f} us a row, mean {mean * 1e6:.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
