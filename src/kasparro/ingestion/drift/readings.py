"""What a text reads as: a number, a boolean, a time in one of many formats, a URL, or nothing but text."""

import re
from functools import lru_cache
from typing import Final

NULL_TEXTS: Final = frozenset(("NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan", "#N/A", "-"))
"""Texts that mean, as the empty text does, that there is no value, whatever a source's `null_values` are."""
_LONGEST: Final = 200
_CLOCK: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_READING: Final = re.compile(
    r"(?P<integer>[-+]?\d+)"
    r"|(?P<decimal>[-+]?(?:\d+\.\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?\d+e[-+]?\d+)"
    r"|(?P<comma>[-+]?\d+,\d{1,2}|[-+]?\d{1,3}(?:\.\d{3})+,\d+)"
    r"|(?P<thousands>[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?)"
    r"|(?P<boolean>true|false|yes|no)"
    rf"|(?P<ymd>\d{{4}}-\d{{2}}-\d{{2}}(?P<moment>[t ]{_CLOCK}(?P<zone>\s?z|\s?[-+]\d{{2}}:?\d{{2}}|\s?utc)?)?)"
    rf"|(?P<slashes>\d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d{{2}})(?:,?[ t]{_CLOCK}(?:\s?[ap]m)?)?)"
    rf"|(?P<slashed>\d{{4}}/\d{{1,2}}/\d{{1,2}}(?:[ t]{_CLOCK})?)"
    rf"|(?P<dots>\d{{1,2}}\.\d{{1,2}}\.\d{{4}}(?:,?[ t]{_CLOCK})?)"
    rf"|(?P<dashes>\d{{1,2}}-\d{{1,2}}-\d{{4}}(?:[ t]{_CLOCK})?)"
    rf"|(?P<named>(?:[a-z]{{3,9}},?\s)?(?:\d{{1,2}}[- ]{_MONTH}|{_MONTH} \d{{1,2}},?)[- ]\d{{2,4}}.{{0,30}})"
    rf"|(?P<clock>{_CLOCK}(?:\s?[ap]m)?)"
    r"|(?P<url>[a-z][a-z0-9+.-]{1,10}://\S+)"
    r"|(?P<email>[^\s@]+@[^\s@]+\.[a-z]{2,})"
    r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
    re.IGNORECASE,
)
_GROUPS: Final = (
    "integer", "decimal", "comma", "thousands", "boolean", "ymd", "slashes", "slashed", "dots", "dashes", "named",
    "clock", "url", "email", "uuid",
)  # fmt: skip
_NUMBERS: Final = {"integer": "integer", "decimal": "decimal", "comma": "decimal comma", "thousands": "thousands"}
_DATES: Final = {
    "slashed": "Y/M/D", "dots": "D.M.Y", "named": "month's name", "clock": "clock",
}  # fmt: skip
FAMILIES: Final = {
    "integer": "number", "decimal": "number", "boolean": "boolean", "text integer": "text number",
    "text decimal": "text number", "text decimal comma": "text number", "text thousands": "text number",
    "text boolean": "text boolean", "text url": "text", "text email": "text", "text uuid": "text", "text": "text",
}  # fmt: skip
"""Of each reading that is not a time, the family: within one, a widening changes nothing."""
UNSURE_DATES: Final = frozenset(("time ?/?/Y", "time ?-?-Y"))
"""Dates that may be read with either part as the day."""


def family(reading: str) -> str:
    """The family of a reading: `number, boolean, text number, text boolean, time, text`."""
    return "time" if reading.startswith("time ") else FAMILIES[reading]


@lru_cache(maxsize=4_096)
def read_text(text: str) -> str:
    """The reading of a text: `text integer`, `time Y-M-D`, `text url`, ..., or `text`."""
    found = _READING.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None:
        return "text"
    group = next(name for name in _GROUPS if found[name] is not None)
    if group == "ymd":
        if found["moment"] is None:
            return "time Y-M-D"
        return "time Y-M-D clock" if found["zone"] is None else "time Y-M-D clock zone"
    if group in ("slashes", "dashes"):
        return _by_parts(found[group], "/" if group == "slashes" else "-")
    if group in _DATES:
        return f"time {_DATES[group]}"
    return f"text {_NUMBERS.get(group, group)}"


def number_of(text: str, reading: str) -> float:
    """The number that a text reads as one."""
    if reading == "text decimal comma":
        text = text.replace(".", "").replace(",", ".")
    return float(text.replace(",", ""))


def _by_parts(text: str, separator: str) -> str:
    """Which of a date's first two parts is the day, where one of them is over twelve."""
    first, second = (int(part) for part in text.split(separator)[:2])
    if first > 12:
        return f"time D{separator}M{separator}Y"
    return f"time M{separator}D{separator}Y" if second > 12 else f"time ?{separator}?{separator}Y"
