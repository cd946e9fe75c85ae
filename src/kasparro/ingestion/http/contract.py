"""What a source sees of HTTP: one method, one answer. Retry, rate limit, caps and guards are behind it.

Semantics: RFC 9110 (HTTP), RFC 9111 section 4.3 (validation).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

LONGEST_PAUSE_SECONDS: Final = 86_400.0
"""What a server says about when to come back is heeded for a day at most; then it is asked, whatever it had said."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave to ask later whether anything changed (RFC 9110 section 8.8)."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """What one source allows and wants of the client. Sizes in bytes, times in seconds."""

    requests: float = 5.0
    per_seconds: float = 1.0
    """Token bucket: at most `requests` in `per_seconds`, and bursts no larger."""
    attempts: int = 5
    total_seconds: float = 120.0
    """Bounds of retrying one request: tries, and time over all of them, Retry-After included."""
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    """The longest silence while an answer is coming."""
    attempt_seconds: float = 60.0
    """The longest one request may take from its first byte to its last, however steadily it drips."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Cap on the body as it comes, and on the body decompressed."""
    allow_private: bool = False
    """Whether loopback, private and link-local addresses may be reached."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Collection[str] = ()
    """Values that must show in no message and no log."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer. `url` is the final one, after redirects, without credentials; header names are lower case.

    `body` is decompressed, whatever `content-encoding` and `content-length` among the headers say.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    validators: Validators
    not_modified: bool = False


class Fetcher(Protocol):
    """A client bound to one source's policy."""

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Validators | None = None,
        accept: Collection[int] = (),
    ) -> Fetched:
        """Fetch with GET; a 2xx, a 304 to `validators`, or a status in `accept` is an answer.

        Raises UpstreamError (a SourceError with `.status`, `.url`) for everything else, after the retries that make
        sense; its message names the URL without credentials, what happened, and how often it was tried.
        """
        ...
