"""Times by which an API is asked for what is new: compared exactly, and given back in the form in which they came."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from fractions import Fraction
from typing import Any, Final, Literal

from kasparro.schemas.readings import Defective, time_reading

StampFormat = Literal["iso8601", "epoch_ms", "epoch_s"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_WRONG_CLOCK: Final = timedelta(days=1)
_DATE_LENGTH: Final = len("2026-01-01")
_MAX_DIGITS: Final = 25
_PLAIN_TIMES: Final = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z,?)*", re.ASCII)
_PER_SECOND: Final = {"epoch_ms": 1000, "epoch_s": 1}
_read_time = time_reading("UTC", frozenset())


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time as it came (`text`), and as seconds since 1970 (`at`); a time without a zone counts as UTC."""

    at: Fraction
    text: str


def parse_stamp(value: Any, stamp_format: StampFormat) -> Stamp | None:
    """The time that a record's field or a checkpoint says; None where it says none."""
    if stamp_format != "iso8601":
        number = _number(value)
        return None if number is None else Stamp(Fraction(number) / _PER_SECOND[stamp_format], f"{number:f}")
    if not isinstance(value, str):
        return None
    try:
        return Stamp(seconds_of(_read_time(value)), value.strip())
    except Defective:
        return None


def greatest_of(values: Sequence[Any], stamp_format: StampFormat, limit: Fraction) -> Stamp | None:
    """The greatest time that is not after `limit`, in seconds since 1970; of equal ones the first."""
    latest_first = _latest_first(values)
    stamps = (parse_stamp(value, stamp_format) for value in latest_first or values)
    usable = (stamp for stamp in stamps if stamp is not None and stamp.at <= limit)
    return next(usable, None) if latest_first else max(usable, key=lambda stamp: stamp.at, default=None)


def _latest_first(values: Sequence[Any]) -> list[Any] | None:
    """Each value once, by time, without a look at each: integers, and texts of one length in one form; else None."""
    kinds = set(map(type, values))
    is_plain = kinds == {int} or (
        kinds == {str} and len(set(map(len, values))) == 1 and _PLAIN_TIMES.fullmatch(",".join(values)) is not None
    )
    return sorted(set(values), reverse=True) if is_plain else None


def seconds_of(moment: datetime) -> Fraction:
    """Seconds since 1970, exactly."""
    return Fraction((moment - _EPOCH) // _MICROSECOND, 1_000_000)


def began_at(headers: Mapping[str, str], asked: datetime, answered: datetime) -> datetime:
    """When a request was made, by the server's clock where its `Date` (RFC 9110 section 6.6.1) is within a day of ours.

    What takes long counts against it, so that whatever the answer shows was there by then.
    """
    try:
        date = parsedate_to_datetime(headers["date"])
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
    except (KeyError, ValueError, OverflowError):
        return asked
    return date - max(answered - asked, timedelta(0)) if abs(date - answered) < _WRONG_CLOCK else asked


def earlier(stamp: Stamp, lookback: timedelta, stamp_format: StampFormat) -> str:
    """The time `lookback` before the stamp, in the stamp's own form; never later than that."""
    if not lookback:
        return stamp.text
    if stamp_format != "iso8601":
        units = Decimal(lookback // _MICROSECOND) * _PER_SECOND[stamp_format] / 1_000_000
        number = Decimal(stamp.text) - units
        return f"{number if '.' in stamp.text else number.to_integral_value(ROUND_FLOOR):f}"
    return _earlier_text(stamp.text.upper(), lookback)


def rewritten(text: str, given: StampFormat, wanted: StampFormat) -> str:
    """A stamp's text in another format, to the microsecond or millisecond or second that it has; never later."""
    stamp = None if given == wanted else parse_stamp(text, given)
    if stamp is None:
        return text
    if wanted != "iso8601":
        return str(stamp.at * _PER_SECOND[wanted] // 1)
    try:
        moment = _EPOCH + timedelta(microseconds=stamp.at * 1_000_000 // 1)
    except OverflowError:
        moment = _LAST if stamp.at > 0 else _FIRST
    precision = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    return moment.isoformat(timespec=precision if moment.microsecond else "seconds").removesuffix("+00:00") + "Z"


def _earlier_text(text: str, lookback: timedelta) -> str:
    try:
        moment = datetime.fromisoformat(text) - lookback
    except OverflowError:
        return text  # in the year 1: nothing is earlier
    if len(text) == _DATE_LENGTH:
        return moment.date().isoformat()
    fraction = text.partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    precision = "seconds" if digits == 0 else "milliseconds" if digits <= len("123") else "microseconds"
    shown = moment.isoformat(text[_DATE_LENGTH], precision)
    return shown.removesuffix("+00:00") + "Z" if text.endswith("Z") else shown


def stamp_text(moment: datetime, stamp_format: StampFormat) -> str:
    """A time of ours in whole seconds, rounded down."""
    whole = moment.astimezone(UTC).replace(microsecond=0)
    if stamp_format == "iso8601":
        return whole.isoformat().removesuffix("+00:00") + "Z"
    return str((whole - _EPOCH) // timedelta(seconds=1) * _PER_SECOND[stamp_format])


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    usable = number.is_finite() and abs(number.adjusted()) < _MAX_DIGITS and len(number.as_tuple().digits) < _MAX_DIGITS
    return number if usable else None
