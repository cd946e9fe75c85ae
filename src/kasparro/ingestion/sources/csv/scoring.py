"""How well a dialect explains a sample: records that all have the same number of cells, and no broken quotes.

Python's csv.Sniffer looks at letters instead, and is often wrong where a quoted text holds commas.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from kasparro.ingestion.sources.csv.cells import CellScanner, Scan
from kasparro.ingestion.sources.csv.celltypes import is_typed
from kasparro.ingestion.sources.csv.dialect import Dialect

DELIMITERS = (",", ";", "\t", "|", ":", " ")
_WEIGHTS = {":": 0.7, " ": 0.6}
_NEEDS_TYPED_CELLS = (":", " ")
_MIN_TYPED_SHARE = 0.5
_SINGLE_COLUMN_SCORE = 0.3
_MAX_RECORD_LINES = 200
_MAX_RECORDS = 300


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is configured: None means detect, empty means none."""

    delimiter: str | None
    quotechar: str | None
    escapechar: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A dialect's reading of the head: `records` are the whole ones, with the line each begins on.

    `broken` are those with quotes where none may stand, `unfinished` those whose quoted cell does not end.
    """

    dialect: Dialect
    records: Sequence[tuple[int, list[str]]]
    broken: int
    unfinished: int
    quoted_cells: int

    @property
    def usual_cells(self) -> int:
        """The most common number of cells in a record; of equally common ones the largest."""
        counts = Counter(len(cells) for _, cells in self.records)
        return max(counts, key=lambda count: (counts[count], count), default=0)

    @property
    def score(self) -> float:
        """From 0 to 1."""
        total = len(self.records) + self.broken + self.unfinished
        usual = self.usual_cells
        if total == 0 or usual == 0:
            return 0.0
        agreeing = sum(len(cells) == usual for _, cells in self.records) / total
        if usual == 1:
            return agreeing * _SINGLE_COLUMN_SCORE
        return agreeing**2 * (1 - 0.8 / usual) * _WEIGHTS.get(self.dialect.delimiter, 1.0) * self._plausible()

    def _plausible(self) -> float:
        """Spaces and colons stand in ordinary text as well: they only count between numbers, dates and times."""
        if self.dialect.delimiter not in _NEEDS_TYPED_CELLS:
            return 1.0
        cells = [cell for _, record in self.records[1:] or self.records for cell in record]
        return float(sum(map(is_typed, cells)) >= _MIN_TYPED_SHARE * max(1, len(cells)))


def read_sample(lines: Sequence[str], dialect: Dialect, comment: str | None) -> Sample:
    """Read physical lines; a record that is broken or not finished costs one line."""
    records: list[tuple[int, list[str]]] = []
    failed: Counter[Scan] = Counter()
    quoted_cells = line = 0
    while line < len(lines) and len(records) + failed.total() < _MAX_RECORDS:
        text = lines[line]
        if is_skipped(text, comment):
            line += 1
            continue
        scanner = CellScanner(dialect)
        used, scan = _scan(scanner, lines[line : line + _MAX_RECORD_LINES])
        if scan is Scan.DONE:
            records.append((line, scanner.cells))
            quoted_cells += scanner.quoted_cells
        else:
            failed[scan] += 1
        line += used
    return Sample(dialect, records, failed[Scan.STRAY], failed[Scan.OPEN], quoted_cells)


def is_skipped(text: str, comment: str | None) -> bool:
    """Blank lines and comments are no records."""
    return not text.strip("\r\n") or (comment is not None and text.startswith(comment))


def best_sample(lines: Sequence[str], base: Dialect, fixed: Fixed, comment: str | None) -> Sample:
    """The reading that explains the lines best; with equal scores the more usual dialect."""
    samples = [read_sample(lines, dialect, comment) for dialect in _candidates("".join(lines), base, fixed)]
    best = max(samples, key=lambda sample: sample.score)
    if fixed.quotechar is not None:
        return best
    usual = max((sample for sample in samples if sample.dialect.quotechar == '"'), key=lambda sample: sample.score)
    return best if _may_replace(best, usual) else usual


def _may_replace(best: Sample, usual: Sample) -> bool:
    """Whether another quoting than the usual one is believed: a few broken rows do not speak against double quotes."""
    if best.dialect.quotechar is None:
        return usual.broken > 0 and usual.quoted_cells <= usual.broken
    return best.quoted_cells > max(usual.quoted_cells, best.broken)


def _candidates(text: str, base: Dialect, fixed: Fixed) -> Iterator[Dialect]:
    """Every dialect that is neither ruled out by what is configured nor without a trace in the text."""
    quotes = (fixed.quotechar or None,) if fixed.quotechar is not None else ('"', *("'" if "'" in text else ""), None)
    escapes = (fixed.escapechar or None,) if fixed.escapechar is not None else (None, *("\\" if "\\" in text else ""))
    present = [delimiter for delimiter in DELIMITERS if delimiter in text or delimiter == DELIMITERS[0]]
    delimiters = present if fixed.delimiter is None else [fixed.delimiter]
    for quotechar, escapechar, delimiter in product(quotes, escapes, delimiters):
        dialect = replace(base, quotechar=quotechar, escapechar=escapechar, delimiter=delimiter)
        yield dialect
        if quotechar and delimiter != " " and f"{delimiter} {quotechar}" in text:
            yield replace(dialect, skips_spaces=True)


def _scan(scanner: CellScanner, lines: Sequence[str]) -> tuple[int, Scan]:
    """Number of lines the record takes, one when it fails, and how it ends."""
    for used, line in enumerate(lines, start=1):
        scan = scanner.feed(line)
        if scan is Scan.DONE:
            return used, scan
        if scan is Scan.STRAY:
            return 1, scan
    return 1, Scan.OPEN
