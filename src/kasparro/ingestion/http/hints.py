"""What a server says about when to come back: Retry-After (RFC 9110 section 10.2.3) and the quota headers.

Quotas come as `RateLimit` (draft-ietf-httpapi-ratelimit-headers, its older form too), as `RateLimit-Remaining` and
`RateLimit-Reset`, and as `X-RateLimit-*`, whose reset is seconds from now with some servers, a Unix time with others.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from kasparro.ingestion.http.failures import RETRYABLE_STATUSES

_SECONDS: Final = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_QUOTED: Final = re.compile(r'"[^"]*"')
_PARAMETER: Final = re.compile(r"\b(r|t|remaining|reset)\s*=\s*(\d{1,12})\b", re.ASCII)
_UNIX_TIME_FROM: Final = 1_000_000_000
_UNIX_MILLISECONDS_FROM: Final = 1_000_000_000_000
_SPELLINGS: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by Retry-After; None without it, and when it is zero, negative, past or nonsense."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value) or None
    return _ahead(_http_date(value), now)


def quota_pause(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until a quota that is used up begins anew; None when there is still something left of every quota."""
    pauses = [reset for remaining, reset in _quotas(headers, now) if remaining == 0 and reset > 0]
    return max(pauses, default=None)


def asked_pause(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds for which no further request should go out: by Retry-After of a failure, or by a quota used up."""
    hints = retry_after(headers, now) if status in RETRYABLE_STATUSES else None, quota_pause(headers, now)
    return max((seconds for seconds in hints if seconds is not None), default=None)


def come_back_in(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds after which the same request may succeed, if its answer says so; some send 403 for a quota used up."""
    quota = quota_pause(headers, now) if status in RETRYABLE_STATUSES | {403} else None
    hints = retry_after(headers, now), quota
    return max((seconds for seconds in hints if seconds is not None), default=None)


def _quotas(headers: Mapping[str, str], now: float) -> Iterator[tuple[float, float]]:
    """(remaining, seconds to the reset) of each quota that is told."""
    combined = _QUOTED.sub("", headers.get("ratelimit", ""))
    for item in [combined] if "remaining" in combined else combined.split(","):
        told = {name[:3]: float(value) for name, value in _PARAMETER.findall(item)}
        remaining, reset = told.get("r", told.get("rem")), told.get("t", told.get("res"))
        if remaining is not None and reset is not None:
            yield remaining, reset
    for spelling in _SPELLINGS:
        remaining = _number(headers.get(f"{spelling}-remaining"))
        reset = _number(headers.get(f"{spelling}-reset"))
        if remaining is not None and reset is not None:
            yield remaining, _from_now(reset, now)


def _number(value: str | None) -> float | None:
    text = (value or "").partition(",")[0].partition(";")[0].strip()
    return float(text) if _SECONDS.fullmatch(text) else None


def _from_now(reset: float, now: float) -> float:
    if reset >= _UNIX_MILLISECONDS_FROM:
        return reset / 1000 - now
    return reset - now if reset >= _UNIX_TIME_FROM else reset


def _http_date(value: str) -> float:
    """The Unix time of an HTTP-date; NaN for what is none."""
    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan


def _ahead(moment: float, now: float) -> float | None:
    return moment - now if moment > now else None
