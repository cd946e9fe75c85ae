"""Numbers as people read them in the words of an anomaly."""

import math
from typing import Final

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_MUCH: Final = 1.5


def counted(number: float) -> str:
    """`4,312 records`."""
    return "no record" if number == 0 else "1 record" if number == 1 else f"{number:,.0f} records"


def usual_range(low: float, high: float) -> str:
    """`4,100 to 4,600`, or `up to 30`."""
    least, most = _whole(math.ceil(low), math.floor), _whole(math.floor(high), math.ceil)
    return f"up to {most:,}" if least <= 0 else f"{least:,}" if least == most else f"{least:,} to {most:,}"


def times(seen: float, middle: float) -> str:
    """`: about 1/350`, or `: about 12 times as much`; nothing where that says nothing."""
    if seen <= 0 or middle <= 0:
        return ""
    ratio = seen / middle
    if ratio >= _MUCH:
        return f": about {_few_digits(ratio)} times as much"
    return f": about 1/{_few_digits(1 / ratio)}" if ratio <= 1 / _MUCH else ""


def percent(share: float) -> str:
    """`2 %`, `0.3 %`, `100 %`."""
    value = 100 * share
    text = f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"
    return f"{text.removesuffix('.0')} %"


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
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _few_digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def _whole(number: int, rounding: object) -> int:
    """The number with two digits that count, three from 1 on: a bound is no exact thing."""
    if number < 100:
        return number
    digits = len(str(number)) - (3 if str(number)[0] == "1" else 2)
    step = 10**digits
    return (math.floor if rounding is math.floor else math.ceil)(number / step) * step
