"""What stands behind an operator, read as the column's type. Each reader raises Refused with what it expects."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from kasparro.services.data import Kind

MAX_CHARACTERS: Final = 4096
"""Of a filter's value, operator and all."""
MAX_PATTERN_CHARACTERS: Final = 200
MAX_LISTED: Final = 100
"""Values of one `in`."""
NUMBER: Final = re.compile(r"-?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200})(?:[eE][+-]?[0-9]{1,3})?")
INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_LEAP_YEAR: Final = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY: Final = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?)?"
_ZONE: Final = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
TIME: Final = re.compile(rf"(?!0000)(?:{_LEAP_YEAR}-02-29|[0-9]{{4}}-{_DAY})(?:[T ]{_CLOCK}{_ZONE}?)?")
"""Every date from the year 1 on; and the 60th second of any minute, as PostgreSQL takes it."""
_LEAP_SECOND: Final = re.compile(r"(:[0-9]{2}):60")
PATTERN: Final = re.compile(rf"(?:[^\\\x00]|\\[^\x00]){{0,{MAX_PATTERN_CHARACTERS}}}")
_PLUS_BECAME_SPACE: Final = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:?[0-9]{2})$")
_LISTED: Final = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^",()]*))(,|$)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\.|\*", re.DOTALL)
_NUMBER_EXPECTED: Final = "a decimal number such as 12.5"


class Refused(Exception):
    """An operand is not what its column needs; the text says what is expected."""


def integer(text: str) -> int:
    """A whole number, sure to fit PostgreSQL's bigint."""
    if INTEGER.fullmatch(text):
        return int(text)
    raise Refused("expected a whole number of at most 18 digits")


def decimal(text: str) -> Decimal:
    """An exact decimal, with an exponent if need be."""
    if NUMBER.fullmatch(text):
        return Decimal(text)
    raise Refused(f"expected {_NUMBER_EXPECTED}")


def time(text: str) -> str:
    """A date (its midnight) or date and time, as PostgreSQL reads it; without a zone in UTC.

    A `+` that was not encoded came as a space. A leap second (RFC 3339, 5.6) is the first one of the next
    minute, as in PostgreSQL.
    """
    text = _PLUS_BECAME_SPACE.sub(r"\1+\2", text)
    if not TIME.fullmatch(text):
        raise Refused("expected a date or time such as 2013-01-31 or 2013-01-31T06:00:00Z")
    without_leap, leaps = _LEAP_SECOND.subn(r"\1:59", text)
    moment = datetime.fromisoformat(without_leap)
    try:
        moment += timedelta(seconds=leaps)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # the end of 9999, further west; or the beginning of the year 1, further east
        return "-infinity" if moment.year == 1 else "infinity"
    return moment.isoformat()


def text(text: str) -> str:
    """Text as it is stored: in Unicode's form NFC."""
    if "\x00" in text:
        raise Refused("no NUL character")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def pattern(value: str) -> str:
    """A pattern of `like`: `*` and `%` stand for any text, `_` for one character, a backslash for the next one."""
    value = text(value)
    if PATTERN.fullmatch(value):
        return _ESCAPED.sub(lambda match: match[0] if match[0] != "*" else "%", value)
    if len(value) > MAX_PATTERN_CHARACTERS:
        raise Refused(f"a pattern has at most {MAX_PATTERN_CHARACTERS} characters")
    raise Refused("a pattern must not end with a backslash; write it twice for itself")


def comparable(value: str) -> Decimal | str:
    """For values inside `attributes`: a number if it reads as one, else text."""
    return Decimal(value) if NUMBER.fullmatch(value) else text(value)


def listed(value: str) -> list[str]:
    """The values of `(a,b,"c,d")`; inside quotes a backslash stands before `"` and itself."""
    if not (value.startswith("(") and value.endswith(")")) or value == "()":
        raise Refused('expected a list such as (a,b,"c,d")')
    inside, place, values = value[1:-1], 0, list[str]()
    while match := _LISTED.match(inside, place):
        quoted, plain, comma = match.groups()
        values.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        if len(values) > MAX_LISTED:
            raise Refused(f"at most {MAX_LISTED} values")
        if not comma:
            return values
        place = match.end()
    raise Refused('expected a list such as (a,b,"c,d"); quote a value that holds a comma, quote or bracket')


READERS: Final[dict[Kind, Callable[[str], Any]]] = {
    "integer": integer,
    "decimal": decimal,
    "time": time,
    "text": text,
    "source": text,
    "tags": text,
    "attributes": text,
}
"""How the operand of a comparison is read, by the column's kind."""
