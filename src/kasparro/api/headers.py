"""Headers that every answer has, unless its route has said something else."""

from typing import Final

from kasparro.api.timing import database_milliseconds
from kasparro.core.tracing import parsed

Fields = list[tuple[bytes, bytes]]
_ALWAYS: Final[Fields] = [(b"x-content-type-options", b"nosniff")]
_UNLESS_SET: Final[Fields] = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""Strict-Transport-Security is missing on purpose: it means nothing over plain HTTP (RFC 6797, 7.2), which is all that
is spoken here; whoever puts TLS in front adds it there."""
_REVALIDATE: Final = (b"cache-control", b"private, no-cache")
_DO_NOT_STORE: Final = (b"cache-control", b"no-store")


def complete(headers: Fields, *, status: int, total_ms: float) -> None:
    """Add what the answer lacks: how it may be shown and kept, and how long it took (`Server-Timing`).

    What carries an ETag may be kept by whoever asked, if it is checked each time; the rest, and every error, by nobody.
    """
    given = {name.lower() for name, _ in headers}
    headers += _ALWAYS
    headers += [field for field in _UNLESS_SET if field[0] not in given]
    if b"cache-control" not in given:
        kept = status < 400 and b"etag" in given
        headers.append(_REVALIDATE if kept else _DO_NOT_STORE)
    if b"server-timing" not in given:
        headers.append((b"server-timing", b"total;dur=%.3f, db;dur=%.3f" % (total_ms, database_milliseconds())))


def trace_id(traceparent: str) -> str | None:
    """The id of the trace that a request belongs to (W3C Trace Context, 3.2); None for what is not valid."""
    ids = parsed(traceparent)
    return None if ids is None else f"{ids[0]:032x}"
