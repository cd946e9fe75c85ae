"""Derive the demo's week from a saved USGS GeoJSON summary feed: the same values, columns instead of objects.

    python data/derive_week.py all_week.geojson src/kasparro/demo/week.json.gz

The same input gives the same bytes. What is left out can be computed: see `kasparro.demo.week`.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

PROPERTIES = (
    *(
        "net",
        "code",
        "time",
        "updated",
        "status",
        "mag",
        "magType",
        "place",
        "title",
        "type",
        "tz",
        "felt",
        "cdi",
        "mmi",
    ),
    *("alert", "tsunami", "sig", "ids", "sources", "types", "nst", "dmin", "rms", "gap"),
)
COORDINATES = ("longitude", "latitude", "depth")
COMPUTED = ("url", "detail")


def columns(features: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """One list a property or coordinate, in the feed's order. Raises ValueError for a property that nobody expects."""
    for feature in features:
        if set(feature["properties"]) != {*PROPERTIES, *COMPUTED}:
            raise ValueError(f"{feature['id']}: properties {sorted(feature['properties'])}")
    by_property = {name: [feature["properties"][name] for feature in features] for name in PROPERTIES}
    positions = zip(*(feature["geometry"]["coordinates"] for feature in features), strict=True)
    return by_property | {name: list(values) for name, values in zip(COORDINATES, positions, strict=True)}


def main() -> None:
    """Read the feed that the first argument names, write the file that the second names."""
    feed = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    metadata = {name: feed["metadata"][name] for name in ("generated", "api")}
    document = {**metadata, "columns": columns(feed["features"])}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    Path(sys.argv[2]).write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
