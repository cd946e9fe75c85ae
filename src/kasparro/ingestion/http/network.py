"""Connections that are checked where they are made: the address that was judged is the address that is dialled.

A name is resolved once, here; httpcore gets the address. So neither a redirect, nor a name with a private address,
nor a name that changes between two look-ups (DNS rebinding) leads inside.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import httpcore
import httpx

from kasparro.ingestion.http.addresses import is_address, refusal
from kasparro.ingestion.http.failures import AttemptFailed

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name in the order to try them (RFC 6724), by the system's resolver. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Makes connections for httpcore, to allowed addresses only."""

    def __init__(self, *, allow_private: bool, resolver: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._resolve = resolver
        self._inner = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; `timeout` seconds are shared by them all.

        Raises AttemptFailed when no address of the host may be reached, httpcore's errors when none answers.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} could not be resolved in time") from error
        failure: Exception | None = None
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Part of httpcore's interface; its own retries are switched off."""
        await self._inner.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise AttemptFailed("connect", f"{host} cannot be resolved: {error}", retryable=True) from error
        if self._allow_private:
            return addresses
        kinds = {address: refusal(address) for address in addresses}
        allowed = [address for address, kind in kinds.items() if kind is None]
        if not allowed:
            raise AttemptFailed("address", f"{_told(host, kinds)}, which this source may not reach")
        return allowed


def _told(host: str, kinds: Mapping[str, str | None]) -> str:
    """What is at fault: the address itself where one is written, else those behind the name."""
    if len(kinds) == 1 and is_address(host):
        kind = next(iter(kinds.values())) or ""
        return f"{host} is {'an' if kind[:1] in 'aeiou' else 'a'} {kind} address"
    return f"{host} leads to {', '.join(f'{address} ({kind})' for address, kind in kinds.items())}"


class CheckedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over checked connections. HTTP/2 where the server offers it; no proxies."""

    def __init__(self, tls: ssl.SSLContext, backend: CheckedBackend) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=20,
            keepalive_expiry=15.0,
            http1=True,
            http2=True,
            network_backend=backend,
        )
