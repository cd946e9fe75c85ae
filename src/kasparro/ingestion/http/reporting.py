"""Tells of requests and retries: a log line, and an observation for metrics. Nothing secret gets into either."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from kasparro.core.errors import UpstreamError
from kasparro.core.logging import get_logger
from kasparro.ingestion.http.failures import AttemptFailed, Reason
from kasparro.ingestion.http.retrying import GaveUp
from kasparro.ingestion.http.secrecy import Secrecy

_NO_KEY_HINT: Final = (
    "does the server want a key? an API's is given by `auth:` in the configuration, a feed's by `headers:`"
)
_KEY_HINT: Final = (
    "is the key of `auth:` (or `headers:`) right? where it comes from a variable, what `kasparro up` has started keeps "
    "the old one until the next `kasparro up`"
)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Observation:
    """One request that was sent, or one retry that was decided on.

    `seconds` is what the exchange took. `waited_seconds` is the time before a request (the source's rate, pauses that
    servers asked for, other requests to the host), or before a retry.
    """

    source: str
    kind: Literal["request", "retry"]
    status: int | None
    reason: Reason | None
    seconds: float
    waited_seconds: float


Observe = Callable[[Observation], None]


@dataclass
class Exchanged:
    """What is known of one request in the end; neither status nor reason: it was cancelled."""

    attempt: int
    waited_seconds: float
    seconds: float = 0.0
    status: int | None = None
    reason: Reason | None = None
    size_bytes: int = 0


class Reporter:
    """Speaks for one source."""

    def __init__(self, source: str, secrecy: Secrecy, observe: Observe) -> None:
        self.secrecy = secrecy
        self._source = source
        self._observe = observe

    def request(self, url: httpx.URL, done: Exchanged) -> None:
        """One request came to its end, good or bad."""
        shown = self.secrecy.url(url)
        _log.debug(
            "http.upstream_request",
            message=f"GET {shown}: {done.status or done.reason or 'cancelled'}",
            source=self._source,
            url=shown,
            http_status=done.status,
            reason=done.reason,
            attempt=done.attempt,
            size_bytes=done.size_bytes,
            duration_ms=round(done.seconds * 1000, 1),
            waited_ms=round(done.waited_seconds * 1000, 1),
        )
        seen = Observation(self._source, "request", done.status, done.reason, done.seconds, done.waited_seconds)
        self._observe(seen)

    def retry(self, url: str, failure: AttemptFailed, number: int, wait_seconds: float) -> None:
        """Try `number` failed, the next one follows."""
        shown = failure.url or self.secrecy.url(url)
        _log.info(
            "http.retry",
            message=self.secrecy.text(f"{shown}: {failure.message}; trying again in {wait_seconds:.1f} s"),
            source=self._source,
            url=shown,
            http_status=failure.status,
            reason=failure.reason,
            attempt=number,
            wait=round(wait_seconds, 3),
        )
        self._observe(Observation(self._source, "retry", failure.status, failure.reason, 0.0, wait_seconds))

    def error(self, url: str, gave_up: GaveUp, spent_seconds: float) -> UpstreamError:
        """The error that a source gets to see in the end."""
        failure = gave_up.failure
        shown = failure.url or self.secrecy.url(url)
        origin = f" (redirected from {failure.redirected_from})" if failure.redirected_from else ""
        message = f"{shown}{origin}: {failure.message} ({_tries(gave_up, spent_seconds)}){gave_up.remark}"
        return UpstreamError(
            self.secrecy.text(message),
            url=shown,
            status=failure.status,
            retry_after_seconds=failure.retry_after_seconds,
            hint=self._hint(failure),
        )

    def _hint(self, failure: AttemptFailed) -> str | None:
        """What to do about it. A 403 for a quota used up says when to come back, and has nothing to do with keys."""
        if failure.reason == "address":
            return "allow_private: true lets this source reach it"
        if failure.status not in (401, 403) or failure.retry_after_seconds is not None:
            return None
        return _KEY_HINT if self.secrecy.has_secrets else _NO_KEY_HINT


def _tries(gave_up: GaveUp, spent_seconds: float) -> str:
    sent = gave_up.tries - (gave_up.failure.reason in ("quota", "url"))
    if sent < 2:
        return "tried once" if sent else "not tried"
    return f"tried {sent} times in {spent_seconds:.1f} s"
