"""Where the API may listen: on this machine only, and where nothing else does."""

import errno
import ipaddress
import socket

from kasparro.core.errors import ConfigurationError


def numeric(host: str) -> str:
    """`localhost` as the address that it stands for; anything else as it is."""
    return "127.0.0.1" if host.lower() == "localhost" else host


def require_loopback(host: str) -> str:
    """The IP address to listen at. Until there are keys to guard it, the API stays on this machine.

    Raises ConfigurationError.
    """
    host = numeric(host)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigurationError(f"KASPARRO_HOST: {host!r} is not an IP address") from None
    if not loopback:
        raise ConfigurationError(
            f"KASPARRO_HOST: {host} is reachable from elsewhere, and this version has no keys to guard the API",
            hint="use 127.0.0.1, and a proxy with authentication in front where others must reach it",
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
