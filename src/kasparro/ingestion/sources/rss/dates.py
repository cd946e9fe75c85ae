"""Times as feeds write them: RFC 822 and ISO 8601 in their many dialects. Nothing goes through local time."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final

_ZONE: Final = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?P<zone>[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]{1,5}(?:/[A-Za-z]+)?(?![A-Za-z:]))?"
)
_Handler = Callable[[str], Any]
_NUMBERED: Final = re.compile(r"(?:\w{,3},\s*)?(\d{4})[-/](\d{1,2})[-/](\d{1,2})\s+(\d{1,2}:\d{2}(?::\d{2})?)(.*)")
"""`2006-09-15 08:19:53 EDT`, and Perforce's `Fri, 2006/09/15 ..`, which feedparser takes through local time."""
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905
_SOURCE_ZONES: Final = ("", "am", "pm")
_HOURS: Final = {
    "wet": 0, "utc": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "sast": 2, "eet": 2, "eest": 3, "msk": 3, "gst": 4,
    "pkt": 5, "ict": 7, "wib": 7, "hkt": 8, "sgt": 8, "awst": 8, "jst": 9, "kst": 9, "aest": 10, "aedt": 11, "nzst": 12,
    "nzdt": 13, "akst": -9, "akdt": -8, "hst": -10, "brt": -3,
}  # fmt: skip
"""Zones that RFC 822 does not name and feedparser does not know; those with two meanings are left out or the usual."""
_RFC_822_ZONES: Final = frozenset(
    {"ut", "gmt", "z", "adt", "ast", "at", "edt", "est", "et", "cdt", "cst", "ct", "mdt", "mst", "mt", "pdt", "pst",
     "pt", "a", "n", "m", "y", "met", "mest"}
)  # fmt: skip


def read_time(text: str | None) -> str | None:
    """RFC 3339 in UTC; without a zone in the text, or with an unknown one, ISO 8601 without zone; None: unreadable."""
    text = (text or "").strip()
    if not text or len(text) > 100:
        return None
    try:
        return _written(_iso_time(text) or _other_time(text))
    except (ValueError, OverflowError):
        return None


def _written(time: datetime | None) -> str | None:
    if time is None:
        return None
    return time.isoformat() if time.tzinfo is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _iso_time(text: str) -> datetime | None:
    """ISO 8601 in extended or basic form, ordinal dates too; None where it is something else."""
    if not re.match(r"\d{4}-?\d", text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # one of the other forms
    ordinal = re.fullmatch(r"(\d{4})-?(\d{3})", text)
    return datetime(int(ordinal[1]), 1, 1) + timedelta(int(ordinal[2]) - 1) if ordinal else None  # noqa: DTZ001


def _other_time(text: str) -> datetime | None:
    for handler, has_own_zone in _handlers():
        try:
            parts: Any = handler(text)
        except (KeyError, OverflowError, ValueError, AttributeError, IndexError):
            continue  # not written in this handler's way
        if parts:
            time = datetime(*parts[:6])  # noqa: DTZ001
            return time.replace(tzinfo=UTC) if has_own_zone else _in_zone(time, text)
    return None


def _in_zone(time: datetime, text: str) -> datetime:
    """`time` is in UTC for zones that feedparser knows, else as written."""
    found = _ZONE.search(text)
    zone = (found["zone"] or "").lower().removeprefix("etc/") if found else ""
    if zone in _HOURS:
        return (time - timedelta(hours=_HOURS[zone])).replace(tzinfo=UTC)
    known = zone in _RFC_822_ZONES or (zone not in _SOURCE_ZONES and zone[0] in "+-")
    return time.replace(tzinfo=UTC) if known else time


def _in_words(numbered: re.Match[str]) -> str:
    year, month, day, time, zone = numbered.groups()
    return f"{day} {_MONTHS[int(month) - 1]} {year} {time} {zone.strip() or '+0000'}"


def _handlers() -> list[tuple[_Handler, bool]]:
    """feedparser's own, but for the one that takes local time; whether each fixes the zone itself."""
    datetimes = import_module("feedparser.datetimes")

    def named(name: str) -> _Handler:
        return getattr(datetimes, f"_parse_date_{name}")

    rfc822 = named("rfc822")
    return [
        *((named(name), False) for name in ("w3dtf", "rfc822", "asctime", "hungarian", "greek")),
        (lambda text: rfc822(_NUMBERED.sub(_in_words, text)), False),
        (lambda text: rfc822(f"{text} +0000"), False),
        *((named(name), True) for name in ("nate", "onblog")),
    ]
