"""The week: every seismic event of 2018-01-31 to 2018-02-07, as the U.S. Geological Survey published it at its end.

Times are milliseconds since 1970, as the agency writes them. See README.md in this folder for the source.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

AGENCY: Final = "https://earthquake.usgs.gov"
PROPERTY_ORDER: Final = (
    *("mag", "place", "time", "updated", "tz", "felt", "cdi", "mmi", "alert", "status", "tsunami", "sig", "net"),
    *("code", "ids", "sources", "types", "nst", "dmin", "rms", "gap", "magType", "type", "title"),
)
_WEEK_MS: Final = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One event in one of its versions. `coordinates` are longitude, latitude (degrees) and depth (km)."""

    id: str
    time: int
    updated: int
    properties: Mapping[str, Any]
    """All that the agency says of it, but for its links."""
    coordinates: tuple[float, float, float]

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"{AGENCY}/earthquakes/eventpage/{self.id}"


@dataclass(frozen=True, slots=True)
class Week:
    """All events in their last version, the latest first, as they were known at `ends`."""

    events: tuple[Event, ...]
    begins: int
    ends: int
    api: str
    """The agency's version number of its service at that time."""


def load_week() -> Week:
    """The week that comes with the package."""
    document = json.loads(gzip.decompress((files("kasparro.demo") / "week.json.gz").read_bytes()))
    columns: dict[str, list[Any]] = document["columns"]
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    ends = int(document["generated"])
    return Week(tuple(_event(row) for row in rows), begins=ends - _WEEK_MS, ends=ends, api=str(document["api"]))


def instant(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def milliseconds(time: datetime) -> int:
    """A time with a zone as milliseconds since 1970; what is below a millisecond is cut off."""
    return int(time.replace(microsecond=0).timestamp()) * 1000 + time.microsecond // 1000


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        id=f"{row['net']}{row['code']}",
        time=row["time"],
        updated=row["updated"],
        properties={name: row[name] for name in PROPERTY_ORDER},
        coordinates=(row["longitude"], row["latitude"], row["depth"]),
    )
