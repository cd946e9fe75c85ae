"""What profiles cost, in CPU time: `python -m bench.drift FLIGHTS.csv`.

Rows of a file as columns, the same rows as payloads, and the demo's week of JSON events; beside the first, transform.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from kasparro.demo.week import load_week
from kasparro.ingestion.columns.text import TextColumns
from kasparro.ingestion.drift.from_columns import profile_columns
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.registry import build_transformer
from kasparro.schemas.configuration import parse_configuration
from tests.long.flights import CONFIGURATION

BATCH_RECORDS = 20_000
PAYLOADS = 100_000
ROUNDS = 5


def main(path: Path) -> None:
    """Print the median of ROUNDS, and their range, for each way."""
    rows = _rows(path)
    transformer = build_transformer(parse_configuration(CONFIGURATION, {}).sources[0])
    parts = [
        (begin, TextColumns(rows.slice(begin, BATCH_RECORDS), path.name, begin + 2))
        for begin in range(0, rows.num_rows, BATCH_RECORDS)
    ]
    _measured("transform of columns", rows.num_rows, lambda: [transformer.transform(part, n) for n, part in parts])
    _measured(
        "profile of columns", rows.num_rows, lambda: _added([lambda p=p, n=n: profile_columns(p, n) for n, p in parts])
    )
    flights = rows.slice(0, PAYLOADS).to_pylist()
    _measured("profile of the same as payloads", len(flights), lambda: _added(_batches(flights, BATCH_RECORDS)))
    events = _events() * 20
    _measured("profile of JSON events", len(events), lambda: _added(_batches(events, 2_000)))


def _rows(path: Path) -> pa.RecordBatch:
    names = path.open(encoding="utf-8").readline().strip().replace('"', "").split(",")
    types = {name: pa.string() for name in names}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    return pyarrow.csv.read_csv(path, convert_options=options).combine_chunks().to_batches()[0]


def _events() -> list[dict[str, Any]]:
    return [
        {"id": event.id, "properties": dict(event.properties), "geometry": {"coordinates": list(event.coordinates)}}
        for event in load_week().events
    ]


def _batches(payloads: list[dict[str, Any]], size: int) -> list[Callable[[], Profile]]:
    locators = [f"source:{number}" for number in range(len(payloads))]
    return [
        lambda n=n: profile_payloads(payloads[n : n + size], locators[n : n + size], n)
        for n in range(0, len(payloads), size)
    ]


def _added(profiles: list[Callable[[], Profile]]) -> Profile:
    whole = Profile()
    for profile in profiles:
        whole.absorb(profile())
    return whole


def _measured(name: str, records: int, work: Callable[[], object]) -> None:
    samples: list[float] = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        samples.append((time.process_time() - begun) / records * 1e6)
    print(f"{name}: {statistics.median(samples):.2f} us a record ({min(samples):.2f} to {max(samples):.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
