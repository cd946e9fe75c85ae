"""What may be said about every source that is read over HTTP: addresses, limits, time-outs, headers."""

import re
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.base import SourceConfig
from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.configuration.times import Span

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (RFC 9110 section 5.6.2)."""
_OWN_HEADERS: Final = frozenset(("host", "content-length", "transfer-encoding", "connection", "accept-encoding"))
_SIZE: Final = re.compile(r"(\d{1,12})\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?")
_SIZES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def web_address(url: str) -> str:
    """The URL. Raises PydanticCustomError where it is none of http or https, or holds a user."""
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or url != "".join(url.split()):
        raise PydanticCustomError("url", "must be a URL such as https://example.org/items")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("url", "must not hold a user or password")
    return url


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("size", "must be a size, such as 500KB, 64MiB or 1GB")
    return int(match[1]) * _SIZES[match[2] or "B"]


def size_text(size: int) -> str:
    """The size in the largest unit that divides it: `64MiB`."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB", "GB", "MB", "KB") if size and size % _SIZES[unit] == 0), "")
    return f"{size // _SIZES[unit] if unit else size}{unit}"


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("not the name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("not yours to set: the client does")
    return name


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII")
    return value


Url = Annotated[str, AfterValidator(web_address)]
WRITTEN_SIZE: Final = PlainSerializer(size_text, return_type=str)
Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(ge=1),
    WRITTEN_SIZE,
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": rf"^{_SIZE.pattern}$"}]}
    ),
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]


class RateLimit(Strict):
    """How often the server may be asked: so many requests in so much time, and no larger bursts."""

    requests: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = 5.0
    """How many requests."""
    per: Span = timedelta(seconds=1)
    """In which time, such as `1s` or `1m`."""


class Retry(Strict):
    """How long a request is tried again that failed for a reason that may pass: 429, 5xx, time-outs, resets."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """How often at most, the first time included."""
    within: Span = timedelta(minutes=2)
    """How long at most, waiting included."""


class HttpSourceConfig(SourceConfig):
    """What every source that is read over HTTP has."""

    headers: Annotated[dict[HeaderName, HeaderValue], Field(default_factory=dict[str, str])]
    """Headers to send with every request."""
    rate_limit: RateLimit = RateLimit()
    """How often the server may be asked."""
    retry: Retry = Retry()
    """How long a failed request is tried again."""
    timeout: Span = timedelta(seconds=30)
    """How long the server may be silent before a request counts as failed."""
    connect_timeout: Span = timedelta(seconds=10)
    """How long connecting may take."""
    total_timeout: Span = timedelta(seconds=60)
    """How long one request may take from its beginning to the end of the answer, however steadily that drips in."""
    max_body: Size = 64 * 1024 * 1024
    """The largest answer, as it comes and decompressed, such as `64MiB`; a larger one is an error."""
    allow_private: bool = False
    """Whether addresses of this machine and of private networks may be reached, also by a redirect."""
