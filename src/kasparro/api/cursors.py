"""Cursors of lists: where the next page begins, signed, so that nobody else can make one, and bound to one query.

A cursor is base64url without padding over: version (1 byte), key id (4), hash of the query (8), MAC (16: HMAC-SHA256,
truncated as RFC 2104 allows), and the position as JSON. It is no secret: it holds what the last record showed anyway.
"""

import base64
import binascii
import hashlib
import hmac
import json
from functools import cache
from typing import Any, Final

from kasparro.core.errors import CursorExpiredError, ParameterError

MAX_CHARACTERS: Final = 12_000
"""Of a cursor's text: it must fit an address, and leave room in it."""
_VERSION: Final = b"\x01"
_KEY_ID: Final = slice(1, 5)
_QUERY: Final = slice(5, 13)
_MAC: Final = slice(13, 29)


def sign(key: bytes, payload: Any, *, query: str) -> str:
    """The cursor's text for a position (anything JSON) in the list that `query` names: its sort and filters.

    Raises ParameterError for a position that is too long for an address.
    """
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    head = _VERSION + _key_id(key) + hashlib.sha256(query.encode()).digest()[:8]
    text = base64.urlsafe_b64encode(head + _mac(key, head + body) + body).rstrip(b"=").decode()
    if len(text) > MAX_CHARACTERS:
        raise ParameterError({"sort": "records hold values that are too long to page by; sort by something else"})
    return text


def open_cursor(key: bytes, text: str, *, query: str) -> Any:
    """The position that `sign` was given.

    Raises CursorExpiredError for a cursor of another key or version, ParameterError for one that was never given out
    or belongs to another query.
    """
    data = _decoded(text)
    if data[:1] != _VERSION or data[_KEY_ID] != _key_id(key):
        raise CursorExpiredError("cursor: it is no longer valid", hint="begin again without a cursor")
    body = data[_MAC.stop :]
    if not hmac.compare_digest(data[_MAC], _mac(key, data[: _MAC.start] + body)):
        raise _refused("not a cursor of this service")
    if data[_QUERY] != hashlib.sha256(query.encode()).digest()[:8]:
        raise _refused("belongs to a query with other filters or another sort; repeat those parameters as they were")
    return json.loads(body)


def _decoded(text: str) -> bytes:
    try:
        if len(text) > MAX_CHARACTERS:
            raise ValueError
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(data) <= _MAC.stop or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
            raise ValueError
        return data
    except (ValueError, binascii.Error):
        raise _refused("not a cursor of this service") from None


def _refused(detail: str) -> ParameterError:
    return ParameterError({"cursor": detail})


@cache
def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"kasparro cursor key id\x00" + key).digest()[:4]


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")[:16]
