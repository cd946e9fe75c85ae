"""From which address a request comes, as far as that can be believed."""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from starlette.types import Scope

UNKNOWN: Final = "unknown"
_NETWORK_BITS: Final = 64
"""Of an IPv6 address: whoever has one has as many as the rest can count."""


def caller_address(scope: Scope, forwarded_for: Sequence[bytes], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address that a limit counts for; of an IPv6 address its network of 64 bits.

    Behind proxies that are trusted it is the last in `X-Forwarded-For` that none of them has: what stands before that
    was written by the caller. Anything else there is not believed.
    """
    client = scope.get("client")
    peer = client[0] if client else UNKNOWN
    if trusted and forwarded_for:
        peer = _behind_proxies(peer, b",".join(forwarded_for).decode("latin-1").split(","), trusted)
    if ":" not in peer:
        return peer
    address = _address(peer)
    return peer if address is None else _network(address)


def _behind_proxies(peer: str, forwarded_for: list[str], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    while forwarded_for and _is_trusted(peer, trusted):
        said = _address(forwarded_for.pop())
        if said is None:
            break
        peer = str(said)
    return peer


def _is_trusted(peer: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, which proxies may write with a port; IPv4 inside IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _NETWORK_BITS), strict=False))
