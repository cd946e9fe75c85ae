"""What is needed to connect, in the driver's terms; passwords never show in its repr."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
SessionAttributes = Literal["any", "primary", "standby", "prefer-standby", "read-write", "read-only"]
DEFAULT_PORT = 5432
DEFAULT_CONNECT_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is asked for; the names are libpq's (https://www.postgresql.org/docs/current/libpq-ssl.html)."""

    mode: SslMode = "prefer"
    root_certificate: Path | Literal["system"] | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: SecretStr | None = field(default=None, repr=False)
    revocation_list: Path | None = None
    direct: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """One database on one server, or on the first of several hosts that answers.

    A host that begins with `/` is the folder of a Unix socket. `connect_timeout_seconds` is per host.
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    user: str
    database: str
    password: SecretStr | None = field(default=None, repr=False)
    tls: Tls = field(default_factory=Tls)
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS
    target_session_attrs: SessionAttributes = "any"
    application_name: str | None = None
    """As given; every connection of kasparro's own is named by whoever opens it."""
    server_settings: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __str__(self) -> str:
        """Where this leads, for messages: never with a password."""
        addresses = ",".join(
            f"{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"
            for host, port in zip(self.hosts, self.ports, strict=True)
        )
        return f'database "{self.database}" as "{self.user}" at {addresses}'

    def with_database(self, name: str) -> Self:
        """The same server and user, another database."""
        return replace(self, database=name)
