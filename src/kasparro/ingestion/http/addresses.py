"""Which addresses a source may reach: the public ones, whatever form they are written in.

Registries: IANA special-purpose addresses (RFC 6890). IPv6 forms that carry an IPv4 address are judged by it: mapped
(RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052).
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_NAT64: Final = IPv6Network("64:ff9b::/96")
_KINDS: Final = (
    ("loopback", "is_loopback"),
    ("link-local", "is_link_local"),
    ("unspecified", "is_unspecified"),
    ("multicast", "is_multicast"),
    ("reserved", "is_reserved"),
    ("private", "is_private"),
    ("site-local", "is_site_local"),
)


def refusal(address: str) -> str | None:
    """The kind of an address that a source may not reach (`loopback`, `private`, ...); None for a public one."""
    ip = ip_address(address.partition("%")[0])
    carried = _carried(ip) if isinstance(ip, IPv6Address) else None
    if carried is not None:
        return refusal(str(carried))
    for kind, flag in _KINDS:
        if getattr(ip, flag, False):
            return kind
    return None if ip.is_global else "special-purpose"


def written_refusal(url: str) -> str | None:
    """The same for an address that stands in a URL, or `localhost`; None for any other name: nobody is asked for it."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    return refusal(host) if is_address(host) else None


def is_address(host: str) -> bool:
    """Whether the host of a URL is an address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _carried(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one ends up at."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
