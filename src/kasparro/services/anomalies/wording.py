"""Numbers as people read them in the words of an anomaly."""

import math
from collections.abc import Callable
from typing import Final

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_MUCH: Final = 1.5


def counted(number: float) -> str:
    """`4,312 records`."""
    return "no record" if number == 0 else "1 record" if number == 1 else f"{number:,.0f} records"


def usual_range(low: float, high: float) -> str:
    """`4,100 to 4,600`, or `up to 30`: rounded, but never so that what is outside of the range seems to be in it."""
    least, most = _rounded(math.ceil(low), math.ceil), _rounded(math.floor(high), math.floor)
    if least > most:
        least, most = math.ceil(low), math.floor(high)
    return f"up to {most:,}" if least <= 0 else f"{least:,}" if least == most else f"{least:,} to {most:,}"


def times(seen: float, middle: float, *, as_what: str = "much") -> str:
    """`: about 1/350`, or `: about 12 times as much`; nothing where that says nothing."""
    if seen <= 0 or middle <= 0:
        return ""
    ratio = seen / middle
    if ratio >= _MUCH:
        return f": about {_few_digits(ratio)} times as {as_what}"
    return f": about 1/{_few_digits(1 / ratio)}" if ratio <= 1 / _MUCH else ""


def percent(share: float) -> str:
    """`2 %`, `0.3 %`, `100 %`."""
    value = 100 * share
    text = f"{value:.0f}" if value >= 10 else f"{value:.2g}"
    return f"{text} %"


def percent_range(low: float, high: float) -> str:
    """`60 to 80 %`, or `up to 5 %`."""
    return f"up to {percent(high)}" if low <= 0 else f"{percent(low).removesuffix(' %')} to {percent(high)}"


def size(number: float) -> str:
    """`9.1 MB`; powers of a thousand."""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{_few_digits(number)} {_UNITS[unit]}"


def size_range(low: float, high: float) -> str:
    """`4.1 MB to 4.9 MB`."""
    return f"{size(low)} to {size(high)}"


def duration(seconds: float) -> str:
    """`0.3 s`, `95 s`, `12 min`, `3 h 20 min`, `1 d 23 h`."""
    if seconds < 99.5:
        return f"{_few_digits(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    if days < 2:
        return f"{24 * days + hours} h"
    return f"{days} d {hours} h" if hours else f"{days} d"


def _few_digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def _rounded(number: int, rounding: Callable[[float], int]) -> int:
    """The number with two digits that count, three where the first is 1."""
    if number < 100:
        return number
    step = 10 ** (len(str(number)) - (3 if str(number)[0] == "1" else 2))
    return rounding(number / step) * step
