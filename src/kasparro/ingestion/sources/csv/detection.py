"""Works out how a file is written from its first 64 KiB. Whatever is configured is taken as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kasparro.ingestion.sources.csv.cells import CellScanner, Scan
from kasparro.ingestion.sources.csv.dialect import Dialect, LineCodec
from kasparro.ingestion.sources.csv.encoding import find_encoding
from kasparro.ingestion.sources.csv.header import literal_cells, looks_like_header, read_names
from kasparro.ingestion.sources.csv.options import CsvOptions
from kasparro.ingestion.sources.csv.scoring import Fixed, Sample, best_sample, is_skipped

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Detected:
    """How a file is read. `body_bytes` and `body_line` say where its first data record can begin (line 1 is the first).

    `str()` is one line for people; `reasons` say how encoding and header were decided.
    """

    dialect: Dialect
    line_end: str
    header: bool
    names: tuple[str, ...]
    body_bytes: int
    body_line: int
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        dialect = self.dialect
        parts = [
            f"encoding {dialect.encoding} ({self.reasons[0]})",
            f"delimiter {dialect.delimiter!r}",
            f"quotes {dialect.quotechar!r}" if dialect.quotechar else "no quoting",
            *([f"escape {dialect.escapechar!r}"] if dialect.escapechar else []),
            *(["spaces after delimiters skipped"] if dialect.skips_spaces else []),
            f"line ends {self.line_end}",
            f"{'header' if self.header else 'no header'} ({self.reasons[1]})",
            f"{len(self.names)} columns",
        ]
        return ", ".join(parts)


def detect(head: bytes, options: CsvOptions, partition: str, *, complete: bool) -> Detected | None:
    """How the file that begins with `head` is written; `complete` when that is all of it.

    None when there is nothing to read yet: no data, or a header line that may still be growing. Raises SourceError
    naming file, line and column for a header that cannot be used.
    """
    encoding = find_encoding(head, options.encoding, partition)
    base, line_end = _with_newline(Dialect(encoding.name, encoding.bom_bytes), head[encoding.bom_bytes :])
    codec = LineCodec(base)
    lines = codec.split(head[encoding.bom_bytes :])
    if lines and not complete and not codec.is_terminated(lines[-1]):
        lines.pop()
    texts = [codec.decode_loosely(line) for line in lines[options.skip_rows :]]
    fixed = Fixed(options.delimiter, options.quotechar, options.escapechar)
    sample = best_sample(texts, base, fixed, options.comment)
    first = _first_record(texts, sample.dialect, options.comment)
    if first is None:
        return None
    locator = f"{partition}:{options.skip_rows + first.line + 1}"
    header, names, reason = _columns(first, sample, options, locator)
    skipped = options.skip_rows + (first.end if header else 0)
    if header and skipped == len(lines) and not codec.is_terminated(lines[-1]):
        return None
    body_bytes = encoding.bom_bytes + sum(map(len, lines[:skipped]))
    return Detected(sample.dialect, line_end, header, names, body_bytes, skipped + 1, (encoding.reason, reason))


@dataclass(frozen=True, slots=True)
class _First:
    """The first record of a sample: lines `line` to `end`, without the latter."""

    line: int
    end: int
    cells: list[str]


def _with_newline(dialect: Dialect, head: bytes) -> tuple[Dialect, str]:
    """CR ends lines only where there are hardly any LF. The second value is for people: LF, CRLF or CR."""
    text = LineCodec(dialect).decode_loosely(head)
    pairs, feeds = text.count("\r\n"), text.count("\n")
    if text[:-1].count("\r") - pairs > feeds or (feeds == 0 and text.endswith("\r")):
        return replace(dialect, newline="\r"), "CR"
    return dialect, "CRLF" if pairs > feeds - pairs else "LF"


def _first_record(texts: Sequence[str], dialect: Dialect, comment: str | None) -> _First | None:
    """The first record, which may be a header; where its quoting is broken, the cells of its first line."""
    line = 0
    while line < len(texts) and is_skipped(texts[line], comment):
        line += 1
    if line == len(texts):
        return None
    scanner = CellScanner(dialect)
    for end, text in enumerate(texts[line:], start=line + 1):
        scan = scanner.feed(text)
        if scan is Scan.DONE:
            return _First(line, end, scanner.cells)
        if scan is Scan.STRAY:
            break
    return _First(line, line + 1, literal_cells(texts[line], dialect))


def _columns(first: _First, sample: Sample, options: CsvOptions, locator: str) -> tuple[bool, tuple[str, ...], str]:
    """Whether the first record is a header, the columns' names, and why."""
    body = [cells for line, cells in sample.records if line > first.line]
    header, reason = _is_header(first.cells, body, options)
    if options.columns is not None:
        return header, options.columns, reason
    if header:
        return True, read_names(first.cells, body, locator), reason
    return False, tuple(f"column_{number}" for number in range(1, sample.usual_cells + 1)), reason


def _is_header(first: Sequence[str], body: Sequence[Sequence[str]], options: CsvOptions) -> tuple[bool, str]:
    if options.header is not None:
        return options.header, "configured"
    if options.columns is not None:
        same = tuple(first) == options.columns
        return same, "it repeats the configured columns" if same else "columns are configured"
    return looks_like_header(first, body)
