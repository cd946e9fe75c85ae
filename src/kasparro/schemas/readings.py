"""How a raw value is read as text, as an exact decimal or as a time; what is not clearly one is refused."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from kasparro.core.masking import mask_registered

Reading = Callable[[Any], Any]
"""From a raw value, not None, to the field's value, or None for a null text. Raises Defective."""
_SHOWN_CHARACTERS: Final = 100


class Defective(Exception):
    """A value cannot be read."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def shown(value: object) -> str:
    """A value for a message: at most 100 characters, on one line, safe to store."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = mask_registered(text)  # before it is cut: what is left of a secret would not be known as one
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return cut if cut.isprintable() else ascii(cut)[1:-1][:_SHOWN_CHARACTERS]


def as_text(value: Any) -> str:
    """Text as it is; a number or truth value in its JSON form. A list or object is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise Defective("invalid_text", f"must be text, not {'a list' if isinstance(value, list) else 'an object'}")


def decimal_reading(nulls: frozenset[str]) -> Reading:
    """An exact decimal: digits with `.` and an exponent, spaces around it ignored; no grouping, no float."""

    def read(value: Any) -> Any:
        if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
            raise Defective("invalid_decimal", f"must be an exact decimal, not {shown(value)} ({type(value).__name__})")
        if not isinstance(value, str):
            return Decimal(value)
        try:
            number = Decimal(value)
            if number.is_finite() and "_" not in value and value.isascii():
                return number
        except InvalidOperation:
            if not (text := value.strip()) or text in nulls:
                return None if text in nulls else _refuse_decimal(value)
        return _refuse_decimal(value)

    return read


def _refuse_decimal(value: str) -> None:
    raise Defective("invalid_decimal", f'"{shown(value)}" is not a decimal number')


def _epoch_hint(value: Any) -> str:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return "; numbers are read by parse_time(.., 'epoch_ms') or 'epoch_s'" if is_number else ""


def time_reading(zone_name: str, nulls: frozenset[str]) -> Reading:
    """A time in UTC from ISO 8601 in its extended form (with `T` or a space, or a date alone: its midnight).

    Without a zone it is read in `zone_name`; one that a clock change skips or repeats as PEP 495 reads `fold=0`. Digits
    after the microsecond are cut off.
    """
    zone: tzinfo = UTC if zone_name == "UTC" else ZoneInfo(zone_name)

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise Defective("invalid_time", f"{shown(value)} is not an ISO 8601 time{_epoch_hint(value)}")
        text = value.strip().upper()
        if text in nulls:
            return None
        try:
            if text[4:5] != "-" or text[7:8] != "-" or text[10:11] not in ("", "T", " "):
                raise ValueError
            time = datetime.fromisoformat(text)
            aware = time if time.tzinfo else time.replace(tzinfo=zone)
            return aware if aware.tzinfo is UTC else aware.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Defective("invalid_time", f'"{shown(value)}" is not an ISO 8601 time') from None

    return read
