"""Durations such as `1h30m`, and time zones by their IANA names."""

import re
import zoneinfo
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION: Final = re.compile(
    r"(?:\d{1,9}w)?(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m)?(?:\d{1,9}(?:\.\d{1,6})?s)?", re.ASCII
)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([wdhms])", re.ASCII)
_LONGEST: Final = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """`90s`, `10m`, `1h30m`, `7d`, `0.5s`: units from the largest to the smallest. Raises ValueError."""
    packed = "".join(text.split())
    if not packed or not _DURATION.fullmatch(packed):
        raise ValueError(f'"{text}" is not a duration; write numbers with a unit (w, d, h, m, s), such as 90s or 1h30m')
    parts = {_UNITS[unit]: float(number) for number, unit in _PART.findall(packed)}
    try:
        duration = timedelta(**parts)
    except OverflowError:
        duration = timedelta.max
    if duration > _LONGEST:
        raise ValueError(f'"{text}" is longer than ten years')
    return duration


def duration_text(duration: timedelta) -> str:
    """The shortest form that `parse_duration` reads as this duration."""
    seconds, text = duration.total_seconds(), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, size)
        text += f"{count:.0f}{unit}" if count else ""
    return text + (f"{seconds:.6f}".rstrip("0").rstrip(".") + "s" if seconds or not text else "")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("duration", "must be a duration, such as 90s, 10m or 1h30m")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from None


def _longer_than_nothing(duration: timedelta) -> timedelta:
    if not duration:
        raise PydanticCustomError("duration", "must be longer than nothing")
    return duration


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone of the IANA database, such as UTC or Europe/Berlin") from None
    return name


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d[\d.wdhms\s]*[wdhms]\s*$"}),
]
"""A length of time, written as `90s`, `10m` or `1h30m`."""
Span = Annotated[Duration, AfterValidator(_longer_than_nothing)]
"""A duration of more than nothing."""
TimeZone = Annotated[str, AfterValidator(_known_zone)]
