"""What a user may say about a feed source."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from kasparro.core.errors import ConfigurationError
from kasparro.core.masking import MASK

IdentityPolicy = Literal["auto", "guid", "guid+link", "link", "content"]
MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
PARSE_SECONDS: Final = 30.0
"""Of computing, whatever else the machine does; 7 MB in 40,000 entries take a third of it."""


@dataclass(frozen=True, slots=True)
class RssOptions:
    """Plain values. Each feed of `urls` is a partition, named by its URL without credentials.

    `secrets` are values, such as a token in a query, that are left out of those names. `identity` `auto` is the ladder
    of docs/decisions/0008-feeds.md; any other policy begins at its rung. `ahead` documents are fetched and
    parsed while one loads.
    """

    name: str
    urls: tuple[str, ...]
    identity: IdentityPolicy = "auto"
    secrets: Collection[str] = ()
    ahead: int = 4
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    parse_seconds: float = PARSE_SECONDS

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for url in self.urls:
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConfigurationError(f"source {self.name}: {partition_name(url, self.secrets)}: must be http(s)")
            name = partition_name(url, self.secrets)
            if name in seen:
                raise ConfigurationError(f"source {self.name}: {name}: is listed twice")
            seen[name] = url

    def partitions(self) -> dict[str, str]:
        """Partition to the URL it is fetched from, in the order of the configuration."""
        return {partition_name(url, self.secrets): url for url in self.urls}


def partition_name(url: str, secrets: Collection[str]) -> str:
    """The URL without user, password, fragment and secret values."""
    parts = urlsplit(url)
    name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        name = name.replace(secret, MASK)
    return name
