"""The HTTP client of the process: one for all sources, each bound to its own policy.

async with HttpClient(user_agent="kasparro/1.0", contact="https://example.org") as client:
    fetcher = client.bound(HttpPolicy(), source="news")
    fetched = await fetcher.get("https://example.org/feed.xml", validators=known)
"""

import logging
import ssl
from types import TracebackType
from typing import Final, Self

import httpx

from kasparro.ingestion.http.clock import Clock
from kasparro.ingestion.http.contract import Fetcher, HttpPolicy
from kasparro.ingestion.http.fetching import BoundFetcher
from kasparro.ingestion.http.network import CheckedBackend, CheckedTransport, Resolve, resolve
from kasparro.ingestion.http.pacing import Hosts, Pace
from kasparro.ingestion.http.reporting import Observation, Observe, Reporter
from kasparro.ingestion.http.secrecy import Secrecy

_CHATTY: Final = ("httpx", "httpcore", "hpack")
"""Loggers that would write URLs and headers; each request has a line of ours."""


class HttpClient:
    """Opens connections when they are needed; leaving the block closes them. Lives in one event loop."""

    def __init__(
        self,
        *,
        user_agent: str,
        contact: str,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        observe: Observe | None = None,
        resolver: Resolve = resolve,
    ) -> None:
        """`contact` (a URL or mail address) tells an upstream whom to ask; `tls` replaces the authorities trusted.

        `observe` is told of each request and retry; `clock` and `resolver` are for tests.
        """
        self._defaults = {"user-agent": f"{user_agent} (+{contact})", "accept": "*/*"}
        self._clock = clock or Clock()
        self._observe = observe or _unobserved
        self._paces: dict[tuple[str, float, float], Pace] = {}
        self._hosts = Hosts()
        context = tls or httpx.create_ssl_context(trust_env=False)
        # Two pools: a connection to a private address, open for one source, must not serve one that may not reach it.
        self._public = CheckedTransport(context, CheckedBackend(allow_private=False, resolver=resolver))
        self._private = CheckedTransport(context, CheckedBackend(allow_private=True, resolver=resolver))

    async def __aenter__(self) -> Self:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._public.aclose()
        await self._private.aclose()

    def bound(self, policy: HttpPolicy, *, source: str) -> Fetcher:
        """A fetcher under the source's policy; fetchers of one source and rate share one token bucket."""
        rate = (source, policy.requests, policy.per_seconds)
        if rate not in self._paces:
            self._paces[rate] = Pace(policy.requests, policy.per_seconds, self._hosts, self._clock)
        return BoundFetcher(
            transport=self._private if policy.allow_private else self._public,
            pace=self._paces[rate],
            clock=self._clock,
            policy=policy,
            defaults=self._defaults,
            reporter=Reporter(source, Secrecy(policy.secrets, policy.headers), self._observe),
        )


def _unobserved(_: Observation) -> None:
    """Nobody counts."""
