"""What the application is told when it is made; `app.state.options` for those who need one of its values."""

import secrets
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from kasparro.core.address import is_loopback, require_decided
from kasparro.core.settings import Settings
from kasparro.core.trust import ANY_HOST, hosts, origins, proxies


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """`requests_per_minute` 0 means no limit; `cursor_key` signs cursors shared by all processes of a service.

    `loopback`: only this machine reaches the server. `local_names_only`: requests must name it as loopback (`Host`), so
    that no web page reads it under a name of its own (DNS rebinding); where there are `allowed_hosts`, as one of these.
    """

    read_key_required: bool = False
    loopback: bool = True
    local_names_only: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    requests_per_minute: int = 6000
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    cursor_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    data_folder: Path | None = None
    """Where the embedded database keeps its data; None: the database runs elsewhere."""


def options_from(settings: Settings, host: str) -> ApiOptions:
    """What the settings say for a server at this address.

    Once it was decided by hand who may read, pages that turn their own name to this machine read no more than anyone
    may, unless the names are listed that it may be asked by. Raises ConfigurationError when that has to be decided
    first.
    """
    loopback = is_loopback(require_decided(host, read_key_required=settings.read_key_required))
    names = frozenset(hosts(settings.allowed_hosts))
    return ApiOptions(
        read_key_required=bool(settings.read_key_required),
        loopback=loopback,
        local_names_only=loopback and settings.read_key_required is None and not names,
        allowed_hosts=names - {ANY_HOST},
        requests_per_minute=settings.requests_per_minute,
        cors_origins=origins(settings.cors_origins),
        trusted_proxies=proxies(settings.trusted_proxies),
        data_folder=settings.home if settings.database_url is None else None,
    )
