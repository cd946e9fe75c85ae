"""Answers that a client may have already: weak entity tags and 304 (RFC 9110, 8.8.3 and 13.1.2)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request, Response

_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


def tagged(
    request: Request, stable: str, rest: str = "", *, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of both texts, tagged by the first; 304 without them where the client names that tag.

    `rest` is for what differs each time and tells nothing about the data: ids and durations of requests.
    """
    body = stable.encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    shown = {"ETag": f"W/{tag}", **(headers or {})}
    if _has(request.headers.get("If-None-Match"), tag):
        return Response(None, 304, shown)
    return Response(body + rest.encode(), 200, shown, media_type)


def _has(given: str | None, tag: str) -> bool:
    return given is not None and (given.strip() == "*" or tag in _TAG.findall(given))
