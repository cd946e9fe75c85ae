"""The week as it goes by: which moment of it is now, and what was known at a moment. Pure functions.

What the agency knew at the end of the week is real. How it came to know it is not in the data, and is made up here by
fixed rules (docs/demo.md): an event shows some minutes after its time in an automatic version, and in its real version
from its real time of update on.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from kasparro.demo.week import Event, Week, milliseconds

STARTS_AT: Final = 1_517_745_600_000
"""2018-02-04T12:00:00Z, where a replay begins: most of the week has happened, and 845 versions are still to come."""
DEFAULT_SPEED: Final = 60.0
"""Seconds of the week in a second: an hour a minute."""
_SHORTEST_DELAY_MS: Final = 60_000
_DELAY_SPREAD_MS: Final = 240_000
_MAGNITUDE_STEPS: Final = (-3, -2, -1, 1, 2, 3)
_AUTOMATIC_PRODUCTS: Final = ("geoserve", "nearby-cities", "origin", "phase-data", "scitech-link")
_UNKNOWN_AT_FIRST: Final = dict.fromkeys(("felt", "cdi", "mmi", "alert"))


@dataclass(frozen=True, slots=True)
class Replay:
    """How the week goes by: from `STARTS_AT` at `started`, `speed` times as fast, or not at all, at `frozen_at`."""

    started: datetime
    speed: float = DEFAULT_SPEED
    frozen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The versions of an event; one that needed no revision has the same twice."""

    first: Event
    final: Event


def moment(week: Week, replay: Replay, now: datetime) -> int:
    """The moment of the week (milliseconds since 1970) that is now; the week's end, once it is over."""
    if replay.frozen_at is not None:
        return min(milliseconds(replay.frozen_at), week.ends)
    elapsed = max(now - replay.started, timedelta())
    elapsed_ms = elapsed.total_seconds() * 1000 * replay.speed
    return week.ends if elapsed_ms >= week.ends - STARTS_AT else STARTS_AT + int(elapsed_ms)


def first_report(event: Event) -> Event:
    """The version in which an event shows first: the real one when it is that old, else an automatic one."""
    number = zlib.crc32(event.id.encode())
    reported = event.time + _SHORTEST_DELAY_MS + number % _DELAY_SPREAD_MS
    if reported >= event.updated:
        return event
    final = event.properties
    magnitude = Decimal(str(final["mag"])) + Decimal(_MAGNITUDE_STEPS[number % len(_MAGNITUDE_STEPS)]) / 10
    changed: dict[str, Any] = {
        **_UNKNOWN_AT_FIRST,
        "updated": reported,
        "status": "automatic",
        "mag": float(magnitude),
        "types": _listed(name for name in final["types"].split(",") if name in _AUTOMATIC_PRODUCTS),
        "sig": _significance(magnitude),
        "title": _title(magnitude, final["type"], final["place"]),
    }
    return replace(event, updated=reported, properties={**final, **changed})


def histories(week: Week) -> list[History]:
    """Each event of the week with the version in which it showed first."""
    return [History(first_report(event), event) for event in week.events]


def visible(of: Iterable[History], at: int) -> list[Event]:
    """What is known at a moment: each event that shows by then, in its version of then, in the order given."""
    return [_version(history, at) for history in of if history.first.updated <= at]


def last_change(events: Iterable[Event], week: Week) -> int:
    """When the last of these versions showed; the week's beginning when there is none."""
    return max((event.updated for event in events), default=week.begins)


def _version(history: History, at: int) -> Event:
    return history.final if history.final.updated <= at else history.first


def _listed(names: Iterable[str]) -> str:
    """A list as the agency writes it: `,geoserve,origin,`."""
    return f",{','.join(names)},"


def _significance(magnitude: Decimal) -> int:
    """The agency's own measure, as far as it follows from the magnitude; what people felt adds to it later."""
    return max(0, int((magnitude * 100 * magnitude / Decimal("6.5")).to_integral_value(ROUND_HALF_UP)))


def _title(magnitude: Decimal, kind: str, place: str) -> str:
    """As the agency writes it: `M 1.7 Quarry Blast - 5km NNW of Boron, CA`."""
    shown = magnitude.quantize(Decimal("0.1"), ROUND_HALF_UP) + 0
    return f"M {shown} {'' if kind == 'earthquake' else kind.title() + ' '}- {place}"
