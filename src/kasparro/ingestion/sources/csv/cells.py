"""Splits one record into cells, line by line, and says when its quoting is broken.

The quoted form is RFC 4180's. Stricter than Python's csv module in two places, where that one guesses: text after a
closing quote, and a quote inside an unquoted cell, make the record a reject.
"""

import re
from enum import Enum
from functools import lru_cache

from kasparro.ingestion.sources.csv.dialect import Dialect

_SPACES = re.compile(" *")


class Scan(Enum):
    """What is known after a physical line was fed."""

    DONE = "the record is complete"
    OPEN = "the record goes on in the next line"
    STRAY = "a quote or escape stands where none may stand"


@lru_cache(maxsize=64)
def _patterns(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compiled bodies of an unquoted and of a quoted cell."""
    delimiter, newline = re.escape(dialect.delimiter), re.escape(dialect.newline)
    quote = re.escape(dialect.quotechar or "")
    escape = re.escape(dialect.escapechar or "")
    plain = rf"[^{delimiter}{newline}{quote}{escape}]*+"
    unquoted = rf"{plain}(?:{escape}[\s\S]{plain})*+" if escape else plain
    body = rf"[^{quote}{escape}]*+"
    pair = rf"(?:{quote}{quote}|{escape}[\s\S])" if escape else quote + quote
    return re.compile(unquoted), re.compile(rf"{body}(?:{pair}{body})*+" if quote else "")


class CellScanner:
    """Feed it the lines of one record, ends included, until it is not OPEN; then `cells` holds the record."""

    def __init__(self, dialect: Dialect) -> None:
        self.cells: list[str] = []
        self.quoted_cells = 0
        self._dialect = dialect
        self._unquoted, self._quoted = _patterns(dialect)
        self._unescape = re.compile(re.escape(dialect.escapechar) + r"([\s\S])") if dialect.escapechar else None
        self._parts: list[str] = []
        self._in_quotes = False

    def feed(self, line: str) -> Scan:
        position, end = 0, self._content_end(line)
        while True:
            position, scan = self._step(line, position, end)
            if scan is not None:
                return scan

    def _step(self, line: str, position: int, end: int) -> tuple[int, Scan | None]:
        if self._in_quotes:
            return self._quoted_step(line, position, end)
        starts = not self._parts
        if starts and self._dialect.skips_spaces:
            position = _SPACES.match(line, position).end()  # pyright: ignore[reportOptionalMemberAccess]
        if starts and self._dialect.quotechar and line.startswith(self._dialect.quotechar, position):
            self._in_quotes = True
            return position + 1, None
        return self._unquoted_step(line, position, end)

    def _quoted_step(self, line: str, position: int, end: int) -> tuple[int, Scan | None]:
        found = self._quoted.match(line, position)
        assert found is not None
        self._parts.append(found[0])
        position = found.end()
        if position >= len(line):
            return position, Scan.OPEN
        if line[position] != self._dialect.quotechar:  # an escape with nothing behind it
            return position, Scan.STRAY
        self._close_quoted()
        return self._behind(line, position + 1, end)

    def _unquoted_step(self, line: str, position: int, end: int) -> tuple[int, Scan | None]:
        found = self._unquoted.match(line, position)
        assert found is not None
        stop = found.end()
        if stop == len(line) and line.endswith(self._dialect.newline):  # the line end itself was escaped
            self._parts.append(found[0])
            return stop, Scan.OPEN
        self._parts.append(line[position : min(stop, end)])
        self._close_unquoted()
        return self._behind(line, min(stop, end), end)

    def _behind(self, line: str, position: int, end: int) -> tuple[int, Scan | None]:
        """What follows a cell: the end of the record, a delimiter, or something that may not stand there."""
        if position >= end:
            return position, Scan.DONE
        if line[position] == self._dialect.delimiter:
            return position + 1, None
        return position, Scan.STRAY

    def _close_quoted(self) -> None:
        text, quote = "".join(self._parts), self._dialect.quotechar or ""
        if self._unescape is None:
            text = text.replace(quote + quote, quote)
        else:
            both = re.compile(rf"{re.escape(quote)}({re.escape(quote)})|{self._unescape.pattern}")
            text = both.sub(lambda found: found[1] or found[2], text)
        self._finish(text)
        self.quoted_cells += 1

    def _close_unquoted(self) -> None:
        text = "".join(self._parts)
        self._finish(self._unescape.sub(r"\1", text) if self._unescape else text)

    def _finish(self, text: str) -> None:
        self.cells.append(text)
        self._parts = []
        self._in_quotes = False

    def _content_end(self, line: str) -> int:
        """Where the line's end begins: LF with an optional CR before it, or CR; at the end of a file maybe neither."""
        end = len(line)
        if line.endswith(self._dialect.newline):
            end -= 1
        if self._dialect.newline == "\n" and line[:end].endswith("\r"):
            end -= 1
        return end
