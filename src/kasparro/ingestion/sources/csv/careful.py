"""Lines into records one by one: the way for whatever is not clean. A broken record is rejected and costs no neighbour.

Where quoting is broken, the reject is the record's first physical line, and reading goes on with the second: a quote
that was never closed must not swallow the rows behind it.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from kasparro.core.canonical import unstorable
from kasparro.ingestion.source import Defect, Payload, SourceRecord
from kasparro.ingestion.sources.csv.cells import CellScanner, Scan
from kasparro.ingestion.sources.csv.dialect import LineCodec
from kasparro.ingestion.sources.csv.records import Layout, Segment, record_of

_REASONS = {
    "stray_quote": "a quote inside an unquoted cell, or text after a closing quote",
    "unclosed_quote": "a quoted cell is not closed before the end of the file",
    "record_too_large": "the record is longer than {limit:,} bytes",
    "nul_byte": "the record contains a NUL character",
    "bad_encoding": "the record is not valid {encoding}",
}


@dataclass(frozen=True, slots=True)
class _Taken:
    record: SourceRecord
    end: int
    is_open: bool


def parse_carefully(raw: bytes, layout: Layout, first_line: int, *, at_eof: bool) -> Segment:
    """Records of `raw`; unless `at_eof`, a last record that may go on is left out, and so is an unfinished line."""
    codec = LineCodec(layout.dialect)
    whole = len(raw) if at_eof else codec.whole_lines(raw)
    parser = _Parser(codec.split(raw[:whole]), layout, first_line, None if at_eof else len(raw) - whole)
    records: list[SourceRecord] = []
    ends: list[int] = []
    first_open_line: int | None = None
    line = parser.next_record(0)
    while line < len(parser.lines) and (taken := parser.take(line)) is not None:
        records.append(taken.record)
        ends.append(taken.end)
        if taken.is_open and first_open_line is None:
            first_open_line = line
        line = parser.next_record(taken.end)
    if first_open_line is None and line == len(parser.lines) and parser.may_grow(line):
        first_open_line = line - 1  # a comment without its line end
    used = raw[: sum(map(len, parser.lines[:line]))]
    return Segment(used, line, records, ends, first_open_line)


def reject_long_line(beginning: bytes, layout: Layout, line: int) -> SourceRecord | None:
    """The reject for a physical line that alone is longer than a record may be; None for a comment."""
    if layout.comment and LineCodec(layout.dialect).decode_loosely(beginning).startswith(layout.comment):
        return None
    return _reject("record_too_large", beginning, layout, line)


class _Parser:
    def __init__(self, lines: Sequence[bytes], layout: Layout, first_line: int, rest_bytes: int | None) -> None:
        """`rest_bytes`: length of the unfinished line behind `lines`; None when the file ends there."""
        self.lines = lines
        self._layout = layout
        self._first_line = first_line
        self._rest_bytes = rest_bytes
        self._codec = LineCodec(layout.dialect)

    def next_record(self, line: int) -> int:
        """The first line from `line` on that is neither blank nor a comment."""
        while line < len(self.lines) and self._is_skipped(self.lines[line]):
            line += 1
        return line

    def take(self, first: int) -> _Taken | None:
        """The record that begins at line `first`; None when it may go on in lines that are not here yet."""
        scanner, size, damage = CellScanner(self._layout.dialect), 0, ""
        for index in range(first, len(self.lines)):
            size += len(self.lines[index])
            if size > self._layout.max_record_bytes:
                return self._reject_first_line("record_too_large", first)
            text, found = self._text(self.lines[index])
            damage = damage or found
            scan = scanner.feed(text)
            if scan is Scan.DONE:
                return self._whole(first, index + 1, scanner.cells, damage)
            if scan is Scan.STRAY:
                return self._reject_first_line(damage or "stray_quote", first)
        return self._unfinished(first, size)

    def _unfinished(self, first: int, size: int) -> _Taken | None:
        if self._rest_bytes is None:
            taken = self._reject_first_line("unclosed_quote", first)
            return _Taken(taken.record, taken.end, is_open=True)
        if size + self._rest_bytes > self._layout.max_record_bytes:
            return self._reject_first_line("record_too_large", first)
        return None

    def _whole(self, first: int, end: int, cells: list[str], damage: str) -> _Taken:
        number = self._first_line + first
        if damage:
            record = _reject(damage, b"".join(self.lines[first:end]), self._layout, number)
        else:
            record = record_of(self._layout, number, cells)
        return _Taken(record, end, self.may_grow(end))

    def _reject_first_line(self, code: str, first: int) -> _Taken:
        record = _reject(code, self.lines[first], self._layout, self._first_line + first)
        return _Taken(record, first + 1, self.may_grow(first + 1))

    def may_grow(self, end: int) -> bool:
        """Whether `lines` up to `end` include the file's last line and that has no line end yet."""
        return 0 < end == len(self.lines) and not self._codec.is_terminated(self.lines[-1])

    def _text(self, raw: bytes) -> tuple[str, str]:
        """The line's text, and what is wrong with its characters (an empty code: nothing)."""
        try:
            text = self._codec.decode(raw)
        except UnicodeDecodeError:
            return self._codec.decode_loosely(raw), "bad_encoding"
        return text, "nul_byte" if "\x00" in text else ""

    def _is_skipped(self, raw: bytes) -> bool:
        text = self._codec.decode_loosely(raw)
        content = text.removesuffix(self._layout.dialect.newline)
        if self._layout.dialect.newline == "\n":
            content = content.removesuffix("\r")
        return not content or (self._layout.comment is not None and content.startswith(self._layout.comment))


def _reject(code: str, raw: bytes, layout: Layout, line: int) -> SourceRecord:
    locator = layout.locator(line)
    reason = _REASONS[code].format(limit=layout.max_record_bytes, encoding=layout.dialect.encoding)
    payload = _kept(code, raw[: layout.max_record_bytes], layout)
    return SourceRecord(payload, locator, (Defect(code, f"{locator}: {reason}"),))


def _kept(code: str, raw: bytes, layout: Layout) -> Payload:
    """As much of the raw bytes as a payload can hold: their text, or their base64 form."""
    if code in ("nul_byte", "bad_encoding"):
        return unstorable(raw)
    try:
        text = codecs.getincrementaldecoder(layout.dialect.encoding)().decode(raw)
    except UnicodeDecodeError:
        return unstorable(raw)
    return unstorable(raw) if "\x00" in text else {"_line": text.rstrip("\r\n")}
