"""Why one try failed, and whether another makes sense: what httpx raises, in words a person can act on."""

import os
import ssl
from collections.abc import Iterator
from typing import Final, Literal, TypeVar

import h2.exceptions
import h11
import httpx

from kasparro.ingestion.http.contract import HttpPolicy

Reason = Literal[
    "address",
    "body",
    "connect",
    "encoding",
    "protocol",
    "quota",
    "redirect",
    "status",
    "timeout",
    "tls",
    "too_large",
    "url",
]
_Error = TypeVar("_Error", bound=BaseException)
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class AttemptFailed(Exception):
    """One try brought no answer; `retryable` says whether the next may.

    `cut_short`: it was given less time than one try may take, for that was all that was left.
    `url` is the one at fault, in a form to show; `redirected_from` is where the way to it began, if elsewhere.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        cut_short: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.retryable = retryable
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.cut_short = cut_short
        self.url: str | None = None
        self.redirected_from: str | None = None


def failure_of(error: httpx.HTTPError, policy: HttpPolicy) -> AttemptFailed:
    """What a failure on the wire means for the request."""
    certificate = _cause(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        return AttemptFailed("tls", f"the server's certificate is not trusted: {certificate.verify_message}")
    handshake = _cause(error, ssl.SSLError)
    if handshake is not None:
        return AttemptFailed("tls", f"no TLS connection: {handshake.reason or handshake}", retryable=True)
    if isinstance(error, httpx.TimeoutException):
        return AttemptFailed("timeout", _slowness(error, policy), retryable=True)
    if isinstance(error, httpx.ConnectError):
        return AttemptFailed("connect", f"no connection: {_deepest(error)}", retryable=True)
    violation = _cause(error, h2.exceptions.ProtocolError)
    if violation is not None:  # httpcore calls it a local error; what we send ourselves is checked before
        told = f"{violation}" or type(violation).__name__
        return AttemptFailed("body", f"the HTTP/2 connection broke: {told}", retryable=True)
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        # The library's own words may quote a header, and with it a secret.
        return AttemptFailed("protocol", "the request holds something that HTTP cannot carry")
    if isinstance(error, httpx.RemoteProtocolError):
        return _broken_answer(error)
    return AttemptFailed("connect", f"the connection broke: {_deepest(error)}", retryable=True)


def _slowness(error: httpx.TimeoutException, policy: HttpPolicy) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {policy.connect_seconds:g} s, the source's `connect_timeout`"
    return f"the server fell silent for longer than {policy.read_seconds:g} s, the source's `timeout`"


def _broken_answer(error: httpx.RemoteProtocolError) -> AttemptFailed:
    """A connection that ended early is worth another try; a server that does not speak HTTP is not."""
    text = str(error)
    if text.startswith("peer closed connection"):
        return AttemptFailed("body", f"the answer ended early: {text}", retryable=True)
    if _cause(error, h11.RemoteProtocolError) is not None:
        return AttemptFailed("protocol", f"the answer is not valid HTTP: {text}")
    return AttemptFailed("connect", f"the connection broke: {text}", retryable=True)


def _cause(error: BaseException, kind: type[_Error]) -> _Error | None:
    return next((link for link in _chain(error) if isinstance(link, kind)), None)


def _deepest(error: BaseException) -> str:
    """What the operating system said, if it said anything."""
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno:
            return os.strerror(link.errno)
    return str(error) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
