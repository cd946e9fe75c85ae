"""Derive earthquakes.csv from a saved USGS GeoJSON summary feed, in the columns of the agency's own CSV format.

    python data/derive_earthquakes.py all_week.geojson > data/earthquakes.csv

Columns: https://earthquake.usgs.gov/earthquakes/feed/v1.0/csv.php. Numbers keep the digits they came with.
"""

import csv
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FROM_PROPERTIES = ("mag", "magType", "nst", "gap", "dmin", "rms", "net", "place", "type", "status")
NOT_IN_GEOJSON = ("horizontalError", "depthError", "magError", "magNst", "locationSource", "magSource")
COLUMNS = (
    *("time", "latitude", "longitude", "depth", "mag", "magType", "nst", "gap", "dmin", "rms", "net", "id"),
    *("updated", "place", "type", "horizontalError", "depthError", "magError", "magNst", "status"),
    *("locationSource", "magSource"),
)


def csv_time(milliseconds: str) -> str:
    """Milliseconds since 1970 as 2018-02-07T20:10:27.990Z."""
    seconds, rest = divmod(int(milliseconds), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def row(feature: Mapping[str, Any]) -> dict[str, str]:
    """One event as a CSV row; what the feed leaves null or lacks is empty."""
    properties = feature["properties"]
    longitude, latitude, depth = feature["geometry"]["coordinates"]
    values = {name: properties[name] for name in FROM_PROPERTIES}
    values |= {"longitude": longitude, "latitude": latitude, "depth": depth, "id": feature["id"]}
    values |= {name: csv_time(properties[name]) for name in ("time", "updated")}
    values |= dict.fromkeys(NOT_IN_GEOJSON)
    return {name: "" if value is None else str(value) for name, value in values.items()}


def main() -> None:
    """Read the feed named on the command line, write CSV to standard output."""
    feed = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"), parse_float=str, parse_int=str)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row(feature) for feature in feed["features"])


if __name__ == "__main__":
    main()
