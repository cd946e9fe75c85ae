"""What the application is told when it is made; `app.state.options` for those who need one of its values."""

import secrets
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """`requests_per_minute` 0 means no limit; `cursor_key` signs cursors shared by all processes of a service."""

    read_key_required: bool = False
    requests_per_minute: int = 6000
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    cursor_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
