"""Lines that are plain in every way, read by Arrow into columns: no quoting tricks, one row a line, no odd character.

Arrow's reader and Python's csv module agree on such lines; on all others they differ in places (lines that are blank,
ragged or end in a carriage return alone, stray quotes, a byte order mark), so those are not given to it.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from kasparro.ingestion.sources.csv.dialect import Dialect

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take
_REFUSED: Final = (set(range(0x20)) - set(b"\r\n")) | set(b"\\")
"""Bytes that JSON escapes, but for line ends and quotes."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF8: Final = ("utf-8", "utf8", "ascii", "us-ascii")


def read_columns(raw: bytes, text: str, dialect: Dialect, names: Sequence[str]) -> pa.RecordBatch | None:
    """The cells of whole lines, `text` being the same as `raw`; None when these are not plain enough.

    The lines are known to end in LF or CR LF, to hold no NUL, and to be well quoted.
    """
    if not _is_usual(dialect, names):
        return None
    utf8 = raw if dialect.encoding.lower().replace("_", "-") in _UTF8 else text.encode()
    if not _is_plain(utf8, dialect):
        return None
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=len(utf8) + 1, column_names=list(names))
    try:
        table = pyarrow.csv.read_csv(BytesIO(utf8), read, _parse_options(dialect), _all_text(tuple(names)))
    except pa.ArrowInvalid:  # ragged
        return None
    batches = table.to_batches()
    if len(batches) != 1 or table.num_rows != utf8.count(b"\n"):
        return None
    return None if dialect.quotechar and _has_quotes(batches[0], utf8, dialect.quotechar) else batches[0]


def _is_usual(dialect: Dialect, names: Sequence[str]) -> bool:
    if dialect.newline != "\n" or dialect.skips_spaces or dialect.escapechar or not dialect.delimiter.isascii():
        return False
    return dialect.quotechar in (None, '"') and 1 < len(names) == len(set(names))


def _is_plain(utf8: bytes, dialect: Dialect) -> bool:
    if (dialect.quotechar is None or dialect.delimiter == "\t") and b'"' in utf8:
        return False
    refused = bytes(_REFUSED - set(dialect.delimiter.encode()))
    if len(utf8.translate(None, refused)) != len(utf8):
        return False
    blank = utf8.startswith((b"\n", b"\r\n")) or b"\n\n" in utf8 or b"\n\r\n" in utf8
    return not blank and not utf8.startswith(_BYTE_ORDER_MARK)


def _has_quotes(cells: pa.RecordBatch, utf8: bytes, quote: str) -> bool:
    """Whether a quote is part of a cell: only doubled ones are."""
    if quote.encode() * 2 not in utf8:
        return False
    return any(pc.any(pc.match_substring(column, quote), min_count=0).as_py() for column in cells.columns)


def _parse_options(dialect: Dialect) -> pyarrow.csv.ParseOptions:
    return pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter, quote_char=dialect.quotechar or False, newlines_in_values=False
    )


@lru_cache(maxsize=16)
def _all_text(names: tuple[str, ...]) -> pyarrow.csv.ConvertOptions:
    return pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
