"""Where the API may listen: on this machine, elsewhere once that is decided by hand, and where nothing else does."""

import errno
import ipaddress
import socket
from typing import Final

from kasparro.core.errors import ConfigurationError

REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing is bound by this
"""Where on this machine a server is reached that listens at all addresses."""


def numeric(host: str) -> str:
    """`localhost` as the address that it stands for; anything else as it is."""
    return "127.0.0.1" if host.lower() == "localhost" else host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Raises ConfigurationError when it is no IP address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigurationError(f"KASPARRO_HOST: {host!r} is not an IP address") from None


def require_decided(host: str, *, read_key_required: bool | None) -> str:
    """The IP address to listen at. One that others reach needs a decision, by hand, on who may read.

    Raises ConfigurationError.
    """
    host = numeric(host)
    if not is_loopback(host) and read_key_required is None:
        raise ConfigurationError(
            f"KASPARRO_HOST: {host} is reachable from elsewhere: KASPARRO_READ_KEY_REQUIRED must say who may read",
            hint="set it to true (whoever reads needs a key: `kasparro keys create`), or to false (anyone may read)",
        )
    return host


def is_taken(host: str, port: int) -> bool:
    """Whether something listens there already. Raises ConfigurationError when the address cannot be used at all."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise ConfigurationError(f"{host}:{port} cannot be used: {error.strerror}") from error
    return False


def require_free(host: str, port: int) -> None:
    """Raise ConfigurationError when something listens there: a server could share the port without a word."""
    if is_taken(host, port):
        raise ConfigurationError(f"port {port} on {host} is taken", hint="set KASPARRO_PORT to another one")
