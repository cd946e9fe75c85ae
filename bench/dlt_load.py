"""Load a CSV file with dlt into `bench_dlt.records`, by merge with the strategy `upsert`; runs in dlt's environment.

python bench/dlt_load.py arrow|dicts FILE URL KEY,KEY...      prints its seconds, without Python's start and imports

The settings are those that dlt's documentation names for speed: pages instead of rows, no compression between its
steps, files that workers take side by side, as many processes as there are processors.
"""

# dlt is not in the environment in which types are checked.
# pyright: basic, reportMissingImports=false

import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "DATA_WRITER__FILE_MAX_ITEMS": "125000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "125000",
    "NORMALIZE__WORKERS": str(os.cpu_count()),
    "LOAD__WORKERS": "4",
}
if __name__ == "__main__":
    os.environ.update(SETTINGS)

import dlt  # noqa: E402  it reads its settings as it is imported
from dlt.destinations import postgres  # noqa: E402
from pyarrow import csv as arrow_csv  # noqa: E402

FORMATS: Final = {"arrow": "parquet", "dicts": "csv"}
"""What each loads fastest by (1.3 times as fast as the other, twice as fast as INSERT), of those there are."""
PAGE_ROWS = 20_000
TABLE_ROWS = 125_000


def tables(file: str) -> Iterator[Any]:
    """The file as Arrow tables, one for each of the load's files; types inferred by pyarrow."""
    table = arrow_csv.read_csv(file, convert_options=arrow_csv.ConvertOptions(null_values=["", "NA"]))
    for start in range(0, table.num_rows, TABLE_ROWS):
        yield table.slice(start, TABLE_ROWS)


def pages(file: str) -> Iterator[list[dict[str, str]]]:
    """The file as dictionaries of text, in pages."""
    with Path(file).open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        while page := list(islice(rows, PAGE_ROWS)):
            yield page


def credentials(url: str) -> dict[str, Any]:
    """The URL's parts; dlt wants the folder of a socket where the host stands."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "host": quote(query.get("host") or parts.hostname or "localhost", safe=""),
        "port": int(query.get("port") or parts.port or 5432),
        "username": parts.username,
        "password": parts.password or "unused",
        "database": parts.path.removeprefix("/"),
    }


def main(how: str, file: str, url: str, key: str) -> None:
    """Load into a pipeline folder and a dataset that do not exist yet."""
    resource = dlt.resource(
        tables if how == "arrow" else pages,
        name="records",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        primary_key=key.split(","),
    )
    with tempfile.TemporaryDirectory(prefix="ksp-dlt-") as folder:
        destination = postgres(credentials=credentials(url))
        pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=destination, dataset_name="bench_dlt")
        began = time.perf_counter()
        pipeline.run(resource(file), loader_file_format=FORMATS[how]).raise_on_failed_jobs()
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "dlt": dlt.__version__}))


if __name__ == "__main__":
    main(*sys.argv[1:])
