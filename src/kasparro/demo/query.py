"""The agency's query API over the events that are visible: its parameters, its order, its GeoJSON, its error text.

What it promises: https://earthquake.usgs.gov/fdsnws/event/1/. Served here is the part that a loader needs.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from kasparro.core.errors import ParameterError
from kasparro.demo.week import AGENCY, Event, instant, milliseconds
from kasparro.schemas.readings import Defective, decimal_reading, time_reading

T = TypeVar("T")
MAX_LIMIT: Final = 20_000
_NUMBER: Final = decimal_reading(frozenset())
_TIME: Final = time_reading("UTC", frozenset())
_ORDERS: Final = ("time", "time-asc", "magnitude", "magnitude-asc")
PARAMETERS: Final = (
    *("format", "starttime", "endtime", "updatedafter", "minmagnitude", "maxmagnitude", "limit", "offset", "orderby"),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for. Times are milliseconds since 1970; None sets no bound; `offset` counts from 1."""

    starttime: int | None = None
    endtime: int | None = None
    updatedafter: int | None = None
    minmagnitude: Decimal | None = None
    maxmagnitude: Decimal | None = None
    limit: int | None = None
    offset: int = 1
    orderby: str = "time"


def parse_query(parameters: Mapping[str, str]) -> Query:
    """The parameters of a request. Raises ParameterError with a sentence on each that is wrong."""
    readers = _Readers(parameters)
    query = Query(
        starttime=readers.time("starttime"),
        endtime=readers.time("endtime"),
        updatedafter=readers.time("updatedafter"),
        minmagnitude=readers.number("minmagnitude"),
        maxmagnitude=readers.number("maxmagnitude"),
        limit=readers.count("limit", f"1 <= limit <= {MAX_LIMIT}", 1, MAX_LIMIT),
        offset=readers.count("offset", "offset >= 1", 1) or 1,
        orderby=readers.choice("orderby", _ORDERS) or "time",
    )
    if readers.choice("format", ("geojson",)) is None:
        readers.problems.setdefault("format", "This service needs format=geojson: the demo has no other.")
    if readers.problems:
        raise ParameterError(readers.problems)
    return query


def select(events: Sequence[Event], query: Query) -> list[Event]:
    """One page of the events that match, in the order asked for; equal ones by their id."""
    found = sorted((event for event in events if _matches(event, query)), key=lambda event: event.id)
    if query.orderby.startswith("time"):
        found.sort(key=lambda event: event.time, reverse=query.orderby == "time")
    else:
        found.sort(key=lambda event: event.properties["mag"], reverse=query.orderby == "magnitude")
    first = query.offset - 1
    return found[first : first + (query.limit or MAX_LIMIT)]


def feature_collection(events: Sequence[Event], query: Query, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The GeoJSON document (RFC 7946); `metadata` holds `generated`, `url` and `api`."""
    paging = {} if query.limit is None else {"limit": query.limit, "offset": query.offset}
    about = {
        "generated": metadata["generated"],
        "url": metadata["url"],
        "title": "USGS Earthquakes",
        "status": 200,
        "api": metadata["api"],
        **paging,
        "count": len(events),
    }
    bounds = {"bbox": _bounds(events)} if events else {}
    return {"type": "FeatureCollection", "metadata": about, "features": [_feature(event) for event in events], **bounds}


def error_text(status: str, sentences: Sequence[str], request: str, submitted: int, api: str) -> str:
    """An error as the agency writes it (FDSN web services, common specification 1.2, "Error messages")."""
    parts = [
        f"Error {status}",
        *sentences,
        f"Usage details are available from {AGENCY}/fdsnws/event/1",
        f"Request:\n{html.escape(request)}",
        f"Request Submitted:\n{instant(submitted):%Y-%m-%dT%H:%M:%S+00:00}",
        f"Service version:\n{api}",
    ]
    return "\n\n".join(parts) + "\n"


class _Readers:
    """Reads parameters, and collects what is wrong with them."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        unknown = [name for name in parameters if name not in PARAMETERS]
        self.problems = {name: f'Unknown parameter "{name}".' for name in unknown}

    def time(self, name: str) -> int | None:
        def read(text: str) -> int:
            return milliseconds(_TIME(text))

        return self._read(name, read, "ISO-8601 timestamps")

    def number(self, name: str) -> Decimal | None:
        return self._read(name, _NUMBER, "decimal numbers")

    def count(self, name: str, valid: str, lowest: int, highest: int | None = None) -> int | None:
        def read(text: str) -> int:
            value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
            if value < lowest or (highest is not None and value > highest):
                raise Defective("out_of_range", valid)
            return value

        return self._read(name, read, valid)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        def read(text: str) -> str:
            if text not in choices:
                raise Defective("unknown", text)
            return text

        return self._read(name, read, ", ".join(choices))

    def _read(self, name: str, read: Callable[[str], T], valid: str) -> T | None:
        text = self._parameters.get(name)
        try:
            return None if text is None else read(text)
        except Defective:
            self.problems[name] = f'Bad {name} value "{text}". Valid values are {valid}.'
            return None


def _matches(event: Event, query: Query) -> bool:
    magnitude = Decimal(str(event.properties["mag"]))
    return (
        (query.starttime is None or event.time >= query.starttime)
        and (query.endtime is None or event.time <= query.endtime)
        and (query.updatedafter is None or event.updated > query.updatedafter)
        and (query.minmagnitude is None or magnitude >= query.minmagnitude)
        and (query.maxmagnitude is None or magnitude <= query.maxmagnitude)
    )


def _feature(event: Event) -> dict[str, Any]:
    detail = f"{AGENCY}/fdsnws/event/1/query?eventid={event.id}&format=geojson"
    properties: dict[str, Any] = {}
    for name, value in event.properties.items():
        properties[name] = value
        if name == "tz":
            properties |= {"url": event.page, "detail": detail}
    geometry = {"type": "Point", "coordinates": list(event.coordinates)}
    return {"type": "Feature", "properties": properties, "geometry": geometry, "id": event.id}


def _bounds(events: Sequence[Event]) -> list[float]:
    axes = list(zip(*(event.coordinates for event in events), strict=True))
    return [min(axis) for axis in axes] + [max(axis) for axis in axes]
