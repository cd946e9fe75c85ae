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
    single: bool

    def fill(self, payload: Mapping[str, Any]) -> str:
        if self.single:
            return self.text % _quote(self.cells(payload))
        return self.text % tuple(map(_quote, self.cells(payload)))


class FlatPayloads:
    """Encodes payloads of one source; `ignore` as for `content_hash`."""

    def __init__(self, ignore: Collection[str] = ()) -> None:
        self._ignore = frozenset(ignore)
        self._shapes: dict[tuple[str, ...], tuple[_Template, _Template | None] | None] = {}

    def encode(self, payload: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """`payload_json` and `content_hash` of a payload, or None where only those functions can tell."""
        text = self.encode_text(payload)
        if text is None:
            return None
        shape = self._shapes[tuple(payload)]
        hashed = text if shape is None or shape[1] is None else shape[1].fill(payload)
        return text, blake2b(hashed.encode(), digest_size=HASH_SIZE).digest()

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
        if "\\u0000" in text or not (text.isascii() or _is_unicode(text)):
            return None
        return text

    def _learn(self, columns: tuple[str, ...]) -> tuple[_Template, _Template | None] | None:
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        kept = [column for column in columns if column not in self._ignore]
        stored = _template(columns)
        hashed = None if len(kept) == len(columns) else _template(kept)
        shape = (stored, hashed) if stored and (hashed or len(kept) == len(columns)) else None
        self._shapes[columns] = shape
        return shape


def _template(columns: Collection[str]) -> _Template | None:
    names = sorted(columns)
    if not names or not all(map(_is_unicode, names)):
        return None
    members = ",".join(f"{_quote(name).replace('%', '%%')}:%s" for name in names)
    return _Template("{" + members + "}", itemgetter(*names), len(names) == 1)


def _is_unicode(text: str) -> bool:
    """Whether there is no lone surrogate in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
