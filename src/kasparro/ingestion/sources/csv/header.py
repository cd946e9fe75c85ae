"""Whether a file begins with a header, and what its columns are called."""

from collections.abc import Sequence

from kasparro.core.errors import SourceError
from kasparro.ingestion.sources.csv.celltypes import is_year, kind_of
from kasparro.ingestion.sources.csv.dialect import Dialect

_MIN_AGREEING_ROWS = 3


def looks_like_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether `first` differs from the columns below it as a header would, and why. Undecidable: True."""
    votes = sum(_vote(cell, [row[column] for row in body if column < len(row)]) for column, cell in enumerate(first))
    if votes == 0:
        return True, "nothing speaks against it"
    return votes > 0, "its cells differ in kind from those below" if votes > 0 else "its cells are like those below"


def _vote(cell: str, below: Sequence[str]) -> int:
    """1 for a header, -1 against it, 0 for no opinion. Only columns of numbers, dates or times have one."""
    kinds = [kind for kind in map(kind_of, below) if kind != "empty"]
    if not kinds:
        return 0
    usual = max(set(kinds), key=kinds.count)
    kind = kind_of(cell)
    if usual == "text" or kinds.count(usual) < 0.8 * len(kinds) or kind == "empty":
        return 0
    if kind == "text":
        return 1
    return 0 if is_year(cell) and not all(map(is_year, filter(None, below))) else -1


def read_names(first: Sequence[str], body: Sequence[Sequence[str]], locator: str) -> tuple[str, ...]:
    """Column names from the header record `first`. Raises SourceError naming `locator` and the column at fault.

    An empty name becomes `column_<n>`. Where the header is longer than the rows by just its empty names, those are
    left out. Where it does not fit rows that agree with each other in any other way, nobody could say which name is
    whose: not even where the last cells of all rows are empty, for a separator may be missing between two names.
    """
    cells = list(first)
    width = _common_width(body)
    if width is not None and len(cells) != width:
        cells = _fitted(cells, width, locator)
    names = [cell or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        raise SourceError(
            f"{locator}: the header has column {repeated!r} twice",
            hint="name the columns with `columns:` and set `header: true`",
        )
    return tuple(names)


def _common_width(body: Sequence[Sequence[str]]) -> int | None:
    """The number of cells that enough rows agree on; None when there are too few of them, or they differ."""
    widths = [len(cells) for cells in body]
    if len(widths) < _MIN_AGREEING_ROWS or len(set(widths)) > 1:
        return None
    return widths[0]


def literal_cells(text: str, dialect: Dialect) -> list[str]:
    """The cells of a header line whose quoting is broken: cut at every delimiter, outer quotes taken off."""
    quote = dialect.quotechar or ""
    return [_unquoted(cell, quote) for cell in text.rstrip("\r\n").split(dialect.delimiter)]


def _unquoted(cell: str, quote: str) -> str:
    outer = len(cell) > 1 and cell.startswith(quote) and cell.endswith(quote)
    return cell[1:-1] if quote and outer else cell


def _fitted(cells: list[str], width: int, locator: str) -> list[str]:
    """The header's cells made as many as the rows have."""
    named = [cell for cell in cells if cell]
    if len(named) == width:
        return named
    raise SourceError(
        f"{locator}: the header names {len(cells)} columns, but the rows below have {width} cells",
        hint="name the columns with `columns:` and set `header: true`, or skip lines with `skip_rows:`",
    )
