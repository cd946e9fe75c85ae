"""Clean runs of lines into records, through Python's csv module in one go.

Anything suspicious is left to `careful.py`. Both ways give the same records (a property test holds them to it), so it
does not matter where the stream was cut.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO

from kasparro.ingestion.columns.text import TextColumns
from kasparro.ingestion.source import Defect, SourceRecord
from kasparro.ingestion.sources.csv.columns import read_columns
from kasparro.ingestion.sources.csv.dialect import Dialect, LineCodec

_PARITY_TRIES = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """All that is needed to turn lines into records."""

    dialect: Dialect
    names: tuple[str, ...]
    partition: str
    comment: str | None
    max_record_bytes: int

    def locator(self, line: int) -> str:
        return f"{self.partition}:{line}"


@dataclass(frozen=True, slots=True)
class Segment:
    """Records out of `raw`, physical lines. `ends[i]`: how many of its lines are used up at the end of record i.

    `lines` counts all lines of `raw`, blank ones included. `first_open_line`: where the first record begins that more
    bytes at the file's end could still change.
    """

    raw: bytes
    lines: int
    records: Sequence[SourceRecord]
    ends: Sequence[int]
    first_open_line: int | None = None


def parse_clean(raw: bytes, layout: Layout, first_line: int) -> Segment | None:
    """Records of the leading whole lines of `raw`; None when something in them needs a closer look."""
    codec = LineCodec(layout.dialect)
    raw = raw[: layout.max_record_bytes]
    raw = raw[: codec.whole_lines(raw)]
    text = _decoded_if_clean(raw, codec, layout)
    if not text:
        return None
    quotechar = layout.dialect.quotechar
    if quotechar is None or quotechar not in text:
        return _columns(raw, text, layout, first_line) or _one_line_each(raw, text, layout, first_line)
    whole = _balanced_part(text, layout.dialect)
    if not whole or quotechar in _quoted_cell(layout.dialect).sub("", whole):
        return None
    if len(whole) < len(text):
        raw = raw[: codec.offset_after(raw, whole.count(layout.dialect.newline))]
    return _columns(raw, whole, layout, first_line) or _many_lines_each(raw, whole, layout, first_line)


def _columns(raw: bytes, text: str, layout: Layout, first_line: int) -> Segment | None:
    columns = read_columns(raw, text, layout.dialect, layout.names)
    if columns is None:
        return None
    rows = TextColumns(columns, layout.partition, first_line)
    return Segment(raw, len(rows), rows, range(1, len(rows) + 1))


def ragged(layout: Layout, line: int, cells: list[str]) -> SourceRecord:
    """The reject for a row that has more or fewer cells than there are columns."""
    locator = layout.locator(line)
    defect = Defect("ragged_row", f"{locator}: {len(cells)} cells, but there are {len(layout.names)} columns")
    return SourceRecord({"_cells": cells}, locator, (defect,))


def unfinished(record: SourceRecord) -> SourceRecord:
    """The same record where its rest may still be written. A reject has a code of its own there.

    It is settled when the place is read again. Two codes stay: a record too large grows no smaller, and a quote that
    is open at the end of the file says by itself that it may be closed.
    """
    if not record.defects or record.defects[0].code in ("record_too_large", "unclosed_quote"):
        return record
    message = f"{record.defects[0].message}; its rest may not have been written yet"
    return record._replace(defects=(Defect("unfinished_row", message),))


def _decoded_if_clean(raw: bytes, codec: LineCodec, layout: Layout) -> str | None:
    try:
        text = codec.decode(raw)
    except UnicodeDecodeError:
        return None
    dialect = layout.dialect
    odd_line_ends = text.count("\r") != text.count("\r\n") if dialect.newline == "\n" else "\n" in text
    if odd_line_ends or "\x00" in text:
        return None
    if dialect.skips_spaces and dialect.quotechar and dialect.quotechar in text:
        return None
    if (dialect.escapechar or "\x00") in text or (layout.comment or "\x00") in text:
        return None
    return text


def _balanced_part(text: str, dialect: Dialect) -> str:
    """The longest found prefix of whole lines in which quotes come in pairs; empty when none is found quickly."""
    quote = dialect.quotechar or ""
    for _ in range(_PARITY_TRIES):
        if text.count(quote) % 2 == 0:
            return text
        text = text[: text.rfind(dialect.newline, 0, text.rfind(quote)) + 1]
    return ""


@lru_cache(maxsize=64)
def _quoted_cell(dialect: Dialect) -> re.Pattern[str]:
    """A well-formed quoted cell: without these, a clean text has no quote left."""
    quote, delimiter = re.escape(dialect.quotechar or ""), re.escape(dialect.delimiter)
    ends = rf"{delimiter}\r\n"
    return re.compile(
        rf"{quote}(?<![^{ends}]{quote})[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}(?![^{ends}])",
    )


def _one_line_each(raw: bytes, text: str, layout: Layout, first_line: int) -> Segment | None:
    lines = text.split(layout.dialect.newline)
    lines.pop()
    try:
        rows = list(_reader(lines, layout.dialect))
    except csv.Error:
        return None
    ends = range(1, len(rows) + 1)
    if all(rows):
        return Segment(raw, len(lines), _records(rows, range(first_line, first_line + len(rows)), layout), ends)
    ends = [end for end, row in zip(ends, rows, strict=True) if row]
    rows = [row for row in rows if row]
    return Segment(raw, len(lines), _records(rows, [first_line + end - 1 for end in ends], layout), ends)


def _many_lines_each(raw: bytes, text: str, layout: Layout, first_line: int) -> Segment | None:
    rows: list[list[str]] = []
    ends: list[int] = []
    starts: list[int] = []
    reader = _reader(StringIO(text, newline=layout.dialect.newline), layout.dialect)
    line = first_line
    try:
        for row in reader:
            if row:
                rows.append(row)
                starts.append(line)
                ends.append(reader.line_num)
            line = first_line + reader.line_num
    except csv.Error:
        return None
    return Segment(raw, reader.line_num, _records(rows, starts, layout), ends)


def _reader(lines: "list[str] | StringIO", dialect: Dialect):  # noqa: ANN202 - the type has no public name
    if dialect.quotechar is None:
        skips_spaces = dialect.skips_spaces
        return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, skipinitialspace=skips_spaces)
    return csv.reader(
        lines, delimiter=dialect.delimiter, quotechar=dialect.quotechar, skipinitialspace=dialect.skips_spaces
    )


def _records(rows: list[list[str]], starts: Sequence[int], layout: Layout) -> list[SourceRecord]:
    names, partition = layout.names, layout.partition
    if set(map(len, rows)) <= {len(names)}:
        payloads = [dict(zip(names, row)) for row in rows]  # noqa: B905 - checked above, and asking again costs a fifth
        return list(map(SourceRecord, payloads, [f"{partition}:{line}" for line in starts]))
    return [record_of(layout, line, row) for line, row in zip(starts, rows, strict=True)]


def record_of(layout: Layout, line: int, cells: list[str]) -> SourceRecord:
    """One row's record: named cells, or a ragged reject."""
    if len(cells) != len(layout.names):
        return ragged(layout, line, cells)
    return SourceRecord(dict(zip(layout.names, cells, strict=True)), layout.locator(line))
