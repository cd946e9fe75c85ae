"""What stands behind an operator, read as the column's type. Each reader raises Refused with what it expects."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from kasparro.services.data import Kind

MAX_CHARACTERS: Final = 1024
"""Of one operand."""
MAX_PATTERN_CHARACTERS: Final = 200
MAX_LISTED: Final = 100
"""Values of one `in`."""
MAX_INTEGER: Final = 2**63 - 1
NUMBER: Final = re.compile(r"-?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200})(?:[eE][+-]?[0-9]{1,3})?")
INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_PLUS_BECAME_SPACE: Final = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:?[0-9]{2})$")
_LISTED: Final = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^",()]*))(,|$)', re.DOTALL)
_NUMBER_EXPECTED: Final = "a decimal number such as 12.5"


class Refused(Exception):
    """An operand is not what its column needs; the text says what is expected."""


def integer(text: str) -> int:
    """A whole number that fits PostgreSQL's bigint."""
    if INTEGER.fullmatch(text) and -MAX_INTEGER - 1 <= (number := int(text)) <= MAX_INTEGER:
        return number
    raise Refused(f"expected a whole number between {-MAX_INTEGER - 1} and {MAX_INTEGER}")


def decimal(text: str) -> Decimal:
    """An exact decimal, with an exponent if need be."""
    if NUMBER.fullmatch(text):
        return Decimal(text)
    raise Refused(f"expected {_NUMBER_EXPECTED}")


def time(text: str) -> datetime:
    """A date (its midnight) or date and time, without a zone in UTC; a `+` that was not encoded came as a space."""
    text = _PLUS_BECAME_SPACE.sub(r"\1+\2", text)
    try:
        if not TIME.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("expected a date or time such as 2013-01-31 or 2013-01-31T06:00:00Z") from None


def text(text: str) -> str:
    """Text as it is stored: in Unicode's form NFC."""
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"at most {MAX_CHARACTERS} characters")
    if "\x00" in text:
        raise Refused("no NUL character")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def pattern(value: str) -> str:
    """A pattern of `like`: `*` and `%` stand for any text, `_` for one character, a backslash for the next one."""
    if len(value) > MAX_PATTERN_CHARACTERS:
        raise Refused(f"a pattern has at most {MAX_PATTERN_CHARACTERS} characters")
    parts = re.split(r"(\\.)", text(value), flags=re.DOTALL)
    if any(part == "\\" or part.endswith("\\") for part in parts[::2]):
        raise Refused("a pattern must not end with a backslash; write it twice for itself")
    return "".join(part if number % 2 else part.replace("*", "%") for number, part in enumerate(parts))


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
