"""A fast way for payloads that are one level of text, as CSV rows are: the same bytes as `canonical.py` gives.

Rows of one file share their columns, so the sorted names and everything around the cells are prepared once.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

from kasparro.core.canonical import HASH_SIZE

_MAX_SHAPES: Final = 256
_quote = json.encoder.encode_basestring


@dataclass(frozen=True, slots=True)
class _Template:
    """JSON with a place for each cell, and how to get the cells in the order of their places."""

    text: str
    cells: "itemgetter[Any]"

    def fill(self, payload: Mapping[str, Any]) -> str:
        """The payload as JSON. Raises TypeError for a cell that is no text."""
        return self.text % tuple(map(_quote, self.cells(payload)))


_Shape = tuple[_Template, _Template | None]
"""How payloads with certain columns are stored, and how they are hashed where that differs."""


class FlatPayloads:
    """Encodes payloads of one source; `ignore` as for `content_hash`."""

    def __init__(self, ignore: Collection[str] = ()) -> None:
        self._ignore = frozenset(ignore)
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}

    def encode(self, payload: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """`payload_json` and `content_hash` of a payload, or None where only those functions can tell."""
        columns = tuple(payload)
        shape = self._shapes[columns] if columns in self._shapes else self._learn(columns)
        if shape is None:
            return None
        stored, hashed = shape
        try:
            text = stored.fill(payload)
            content = (text if hashed is None else hashed.fill(payload)).encode()
        except (TypeError, UnicodeEncodeError):  # a cell that is no text, a lone surrogate
            return None
        if "\\u0000" in text or (hashed is not None and not _is_unicode(text)):
            return None
        return text, blake2b(content, digest_size=HASH_SIZE).digest()

    def encode_text(self, payload: Mapping[str, Any]) -> str | None:
        """`payload_json` of a payload, or None where only that function can tell."""
        columns = tuple(payload)
        shape = self._shapes[columns] if columns in self._shapes else self._learn(columns)
        if shape is None:
            return None
        try:
            text = shape[0].fill(payload)
        except TypeError:  # a cell that is no text
            return None
        return text if "\\u0000" not in text and _is_unicode(text) else None

    def _learn(self, columns: tuple[str, ...]) -> _Shape | None:
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        kept = [column for column in columns if column not in self._ignore]
        stored, hashed = _template(columns), _template(kept)
        shape = (stored, None if len(kept) == len(columns) else hashed) if stored and hashed else None
        self._shapes[columns] = shape
        return shape


def _template(columns: Collection[str]) -> _Template | None:
    """None for fewer than two columns, where an itemgetter gives no tuple, and for names that have no UTF-8 form."""
    names = sorted(columns)
    if len(names) < 2 or not all(map(_is_unicode, names)):
        return None
    members = ",".join(f"{_quote(name).replace('%', '%%')}:%s" for name in names)
    return _Template("{" + members + "}", itemgetter(*names))


def _is_unicode(text: str) -> bool:
    """Whether there is no lone surrogate in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
