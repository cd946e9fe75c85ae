"""Posts a message to a hook: once, to allowed addresses only, without following redirects, under time-outs and caps.

Trying again is the caller's, who remembers over restarts what was delivered. No URL is in what is said of a failure:
who knows a hook's URL can post to it.
"""

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from kasparro.ingestion.http.calls import Call, first_call
from kasparro.ingestion.http.clock import Clock
from kasparro.ingestion.http.contract import HttpPolicy
from kasparro.ingestion.http.exchange import Response, exchange
from kasparro.ingestion.http.failures import AttemptFailed
from kasparro.ingestion.http.hints import come_back_in
from kasparro.ingestion.http.network import CheckedBackend, CheckedTransport, Resolve, resolve
from kasparro.ingestion.http.secrecy import Secrecy

POST_SECONDS: Final = 10.0
"""A hook has as long as this for the whole exchange."""
_LARGEST_ANSWER_BYTES: Final = 64 * 1024
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a message. `error` is None when it was taken; `gone`: the hook says that it is there no more."""

    error: str | None = None
    retry_after_seconds: float | None = None
    gone: bool = False


class Poster:
    """Posts to hooks; leaving the block closes its connections."""

    def __init__(
        self, *, user_agent: str, tls: ssl.SSLContext | None = None, resolver: Resolve = resolve,
        seconds: float = POST_SECONDS,
    ) -> None:  # fmt: skip
        """`tls` replaces the authorities trusted; `resolver` is for tests."""
        context = tls or httpx.create_ssl_context(trust_env=False)
        self._defaults = {"user-agent": user_agent, "content-type": "application/json"}
        self._public = CheckedTransport(context, CheckedBackend(allow_private=False, resolver=resolver))
        self._private = CheckedTransport(context, CheckedBackend(allow_private=True, resolver=resolver))
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._public.aclose()
        await self._private.aclose()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, secrets: Collection[str], allow_private: bool
    ) -> Posted:
        """One try. A 2xx is success; whatever else comes, or does not, is said in `error`, without secrets."""
        secrecy = Secrecy((url, *secrets), {})
        try:
            response = await self._exchanged(url, body, headers, secrecy, allow_private=allow_private)
        except AttemptFailed as failure:
            return Posted(secrecy.text(self._worded(failure)))
        if response.wanted:
            return Posted()
        wait = come_back_in(response.status, response.headers, Clock().wall())
        told = response.told(secrecy.text)
        if 300 <= response.status < 400:
            told += "; redirects are not followed"
        return Posted(f"answered {told}", wait, response.status == _GONE)

    async def _exchanged(
        self, url: str, body: bytes, headers: Mapping[str, str], secrecy: Secrecy, *, allow_private: bool
    ) -> Response:
        """Raises AttemptFailed when no complete answer came."""
        plain = first_call(url, None, (self._defaults, headers), None, secrecy)
        policy = HttpPolicy(
            connect_seconds=self._seconds, read_seconds=self._seconds, attempt_seconds=self._seconds,
            max_body_bytes=_LARGEST_ANSWER_BYTES, allow_private=allow_private,
        )  # fmt: skip
        transport = self._private if allow_private else self._public
        call = Call(plain.url, plain.headers, "POST", body)
        return await exchange(transport, call, policy, frozenset(), seconds=self._seconds)

    def _worded(self, failure: AttemptFailed) -> str:
        """The failure as of a hook: what the client says is about sources and their settings."""
        if failure.reason == "timeout":
            return f"no complete answer within {self._seconds:g} s"
        if failure.reason == "address":
            return f"{failure.message.replace('this source', 'this hook')} without `allow_private: true`"
        return failure.message
