"""Whom the API trusts: pages of which origins, proxies that speak for their clients, names under which it is asked."""

import ipaddress
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Final

_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?)(:[0-9]{1,5})?", re.ASCII)
"""As browsers send it (RFC 6454): scheme, host and, unless it is the scheme's own, port; nothing behind."""
_HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.ASCII)
ANY_HOST: Final = "*"
_OWN_PORT: Final = re.compile(r"(?<=^http:)(.*):80$|(?<=^https:)(.*):443$")


def origins(text: str | None) -> tuple[str, ...]:
    """The origins in a list separated by commas. Raises ValueError for `*` and whatever is no origin."""
    return tuple(_origin(number, item) for number, item in enumerate(_items(text), 1))


def proxies(text: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks in a list separated by commas; an address is a network of one. Raises ValueError."""
    return tuple(_network(number, item) for number, item in enumerate(_items(text), 1))


def hosts(text: str | None) -> tuple[str, ...]:
    """The host names and addresses in a list separated by commas, in lower case, without ports; `*` stands alone.

    Raises ValueError.
    """
    items = _items(text)
    return (ANY_HOST,) if items == [ANY_HOST] else tuple(_host(number, item) for number, item in enumerate(items, 1))


def checked_hosts(text: str | None) -> str | None:
    """The text itself, if `hosts` can read it. Raises ValueError."""
    if not hosts(text) and text is not None:
        raise ValueError("names no host; unset it, or write * for any")
    return text


def checked_origins(text: str | None) -> str | None:
    """The text itself, if `origins` can read it. Raises ValueError."""
    origins(text)
    return text


def checked_proxies(text: str | None) -> str | None:
    """The text itself, if `proxies` can read it. Raises ValueError."""
    proxies(text)
    return text


def _items(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def _origin(number: int, item: str) -> str:
    if item == "*":
        raise ValueError("* would let every page read the API; list the origins that may")
    origin = item.lower()
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f"item {number} is no origin: write scheme, host and port, such as https://app.example.org")
    return _OWN_PORT.sub(lambda match: match[1] or match[2], origin)


def _host(number: int, item: str) -> str:
    host = item.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"item {number} is no host: write a name or address without port: app.example.org, [::1]")
    return host


def _network(number: int, item: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(item)
    except ValueError:
        raise ValueError(f"item {number} is no address or network, such as 192.0.2.1 or 10.0.0.0/8") from None
