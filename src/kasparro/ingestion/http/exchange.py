"""One request and its answer on the wire, under time-outs and caps."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx

from kasparro.ingestion.http.body import read_body
from kasparro.ingestion.http.calls import Call
from kasparro.ingestion.http.contract import HttpPolicy
from kasparro.ingestion.http.failures import AttemptFailed, failure_of

_EXCERPT_BYTES: Final = 64 * 1024
_EXCERPT_CHARACTERS: Final = 200
_WITHOUT_BODY: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `wanted`: the status is one that was asked for, and `body` is all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wanted: bool

    def told(self, mask: Callable[[str], str]) -> str:
        """Status, phrase, and the beginning of a body that is text; masked before the cut, lest half a secret show."""
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        text = mask(" ".join(self.body.decode("utf-8", "replace").split()))
        shown = text[:_EXCERPT_CHARACTERS] + ("..." if len(text) > _EXCERPT_CHARACTERS else "")
        shown = shown if shown.isprintable() else ""
        return f"{self.status} {phrase}".strip() + (f": {shown}" if shown else "")


async def exchange(
    transport: httpx.AsyncBaseTransport, call: Call, policy: HttpPolicy, wanted: frozenset[int], *, seconds: float
) -> Response:
    """Send and receive in at most `seconds`. Raises AttemptFailed when no complete answer came.

    By the transport, without httpx's client: that one keeps cookies, and stumbles over a bad Location even where it
    does not follow redirects.
    """
    timeout = httpx.Timeout(policy.read_seconds, connect=policy.connect_seconds, pool=None)
    try:
        async with asyncio.timeout(seconds):
            options = {"timeout": timeout.as_dict()}
            headers = call.encoded_headers()
            request = httpx.Request(call.method, call.url, headers=headers, content=call.content, extensions=options)
            response = await transport.handle_async_request(request)
            try:
                return await _received(response, wanted, policy.max_body_bytes)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise _slow(policy, seconds) from error
    except httpx.HTTPError as error:
        raise failure_of(error, policy) from error


def _slow(policy: HttpPolicy, seconds: float) -> AttemptFailed:
    if seconds < policy.attempt_seconds:
        left = f"the {seconds:.1f} s that were left of the {policy.total_seconds:g} s for all tries"
        return AttemptFailed("timeout", f"no complete answer in {left}", retryable=True, cut_short=True)
    told = f"the answer took longer than {seconds:.1f} s, the source's `total_timeout`"
    return AttemptFailed("timeout", told, retryable=True)


async def _received(response: httpx.Response, wanted: frozenset[int], cap_bytes: int) -> Response:
    """Of an answer that nobody asked for, the body is an explanation at best: its damage does not hide the status."""
    headers = _joined(response.headers.raw)
    status = response.status_code
    if status in _WITHOUT_BODY:
        return Response(status, headers, b"", wanted=status == 204 or status in wanted)
    if response.is_success or status in wanted:
        return Response(status, headers, await read_body(response.aiter_raw(), headers, cap_bytes), wanted=True)
    try:
        body = await read_body(response.aiter_raw(), headers, min(cap_bytes, _EXCERPT_BYTES))
    except (AttemptFailed, httpx.HTTPError):
        body = b""
    return Response(status, headers, body, wanted=False)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case, repeated fields joined by commas (RFC 9110 section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
