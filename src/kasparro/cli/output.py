"""What a command answers, and how it is shown: one JSON object, or text for people.

Results go to standard output, everything said along the way to standard error, so that output can be piped.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TextIO, cast

from kasparro.core.masking import mask_known, mask_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from kasparro.core.errors import KasparroError


UNFOLDED_WIDTH: Final = 10_000
FOLDED_COLUMNS: Final = 4
PADDED_WIDTH: Final = 40
_GAP: Final = "   "
_FIELDS: Final = ("field", "value")
_NAMING: Final = ("id", "run", "last run", "mapping_version")
"""Columns and fields whose integers name something, as do all whose name ends with `_id`."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people. Cells are shown as `shown()` shows them; columns named in `right` are set flush right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None
    right: Sequence[str] = ()

    def texts(self) -> list[list[str]]:
        """The cells as people read them. What names a thing is an integer to be typed again, and so not grouped."""
        named_by_row = tuple(self.columns) == _FIELDS
        return [
            [_text(str(row[0]) if named_by_row else name, cell) for name, cell in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text that a program takes as it is, with its own line ends: nothing is added or folded. Secrets are masked."""

    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """A command's answer: `data` for programs, `human` (text and tables, in order) for people.

    A list in `data` is printed under the key "data". Without `human`, people see `data` as a two-column table.
    """

    data: Mapping[str, object] | Sequence[object]
    human: Sequence[str | Table | Verbatim] | None = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command speaks. `json` prints one object, `quiet` keeps everything but results and errors back."""

    json: bool = False
    quiet: bool = False

    @property
    def stdout(self) -> TextIO:
        """For results."""
        return sys.stdout

    @property
    def stderr(self) -> TextIO:
        """For everything else; looked up each time, for a progress bar puts itself in its place while it is drawn."""
        return sys.stderr

    @property
    def log_stream(self) -> TextIO:
        """Where a service logs: standard output, as containers expect, unless a JSON document goes there."""
        return self.stderr if self.json else self.stdout

    def emit(self, result: Result) -> None:
        """Print the result to standard output, without registered secrets."""
        if self.json:
            self._write_json(result.data)
            return
        console = _console(self.stdout)
        for part in _human_parts(result):
            if isinstance(part, Table):
                _print_table(console, part)
            elif isinstance(part, Verbatim):
                self._write_bytes(part.text)
            else:
                console.print(mask_known(part), markup=False, highlight=False, emoji=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something to people on standard error, unless `quiet`."""
        if not self.quiet:
            print(text, file=self.stderr, flush=True)

    def complain(self, error: "KasparroError", *, source: str | None = None) -> None:
        """Say on standard error what went wrong, with which source if it is one's own, and what to do next."""
        message = mask_text(error.message) if source is None else f"{source}: {mask_text(error.about(source))}"
        print(f"kasparro: {message}", file=self.stderr)
        if error.hint:
            print(f"  {mask_text(error.hint)}", file=self.stderr)

    def fail(self, error: "KasparroError") -> None:
        """Complain; with `json` the error is the one object on standard output as well. Ends a command."""
        self.complain(error)
        if self.json:
            self.emit_error(error)

    def emit_error(self, error: "KasparroError") -> None:
        """Print the error as the one JSON object on standard output."""
        self._write_json({"error": {**error_as_data(error), "exit_code": error.exit_code}})

    def _write_bytes(self, text: str) -> None:
        """Past the text layer, which would write line ends of its own, in an encoding of its own."""
        self.stdout.flush()
        self.stdout.buffer.write(mask_known(text).encode())
        self.stdout.buffer.flush()

    def _write_json(self, data: Mapping[str, object] | Sequence[object]) -> None:
        document = data if isinstance(data, Mapping) else {"data": data}
        self.stdout.write(mask_known(json.dumps(document, default=_encode, ensure_ascii=False, indent=2)) + "\n")
        self.stdout.flush()


def error_as_data(error: "KasparroError", *, source: str | None = None) -> dict[str, str | None]:
    """The error for programs, masked like every message; without the name of a source that stands beside it."""
    message = error.message if source is None else error.about(source)
    return {"code": error.code, "message": mask_text(message), "hint": error.hint and mask_text(error.hint)}


def shown(value: object) -> str:
    """A value as people read it: nothing for None, UTC times to the second, grouped integers, lists by comma."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(item) for item in cast("Iterable[object]", value))
    if isinstance(value, Mapping):
        return json.dumps(value, default=_encode, ensure_ascii=False)
    return str(value)


def raw_text(value: object) -> str:
    """A value of a payload as it came: numbers and truth values, lists and objects as JSON writes them."""
    if value is None or isinstance(value, str):
        return value or ""
    from kasparro.core.canonical import UnstorableError, payload_json

    try:
        return payload_json({"": value}).removeprefix('{"":').removesuffix("}")
    except UnstorableError:
        return json.dumps(value, default=_encode)


def _text(name: str, cell: object) -> str:
    naming = name in _NAMING or name.endswith("_id")
    return str(cell) if naming and isinstance(cell, int) else shown(cell)


def _encode(value: object) -> object:
    """JSON for what the standard encoder lacks: RFC 3339 times in UTC, exact decimals as strings, hex bytes."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, set | frozenset):
        return sorted(cast("Iterable[object]", value), key=str)
    return str(value)


def _human_parts(result: Result) -> Sequence[str | Table | Verbatim]:
    if result.human is not None:
        return result.human
    if isinstance(result.data, Mapping):
        return [Table(_FIELDS, list(result.data.items()))]
    return [Table(("value",), [(item,) for item in result.data])]


def _console(stream: TextIO) -> "Console":
    """A console that never folds lines when its reader is a program rather than a person."""
    from rich.console import Console

    return Console(file=stream) if stream.isatty() else Console(file=stream, width=UNFOLDED_WIDTH, no_color=True)


def _print_table(console: "Console", table: Table) -> None:
    """Plain lines for a program, a drawn table for a person."""
    if console.file.isatty():
        _draw_table(console, table)
    else:
        console.file.write("".join(f"{line}\n" for line in _plain_lines(table)))


def _plain_lines(table: Table) -> Iterator[str]:
    """One line a row, without spaces at its end; a cell longer than `PADDED_WIDTH` moves only the rest of its line."""
    rows = [[mask_known(text).replace("\n", "\n  ") for text in row] for row in table.texts()]
    cells = [list(table.columns), *rows]
    widths = [min(max(map(len, column)), PADDED_WIDTH) for column in zip(*cells, strict=True)]
    padded = [
        _GAP.join(
            cell.rjust(width) if name in table.right else cell.ljust(width)
            for name, cell, width in zip(table.columns, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]
    if table.title:
        yield mask_known(table.title)
    yield padded[0]
    yield "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    yield from padded[1:]


def _draw_table(console: "Console", table: Table) -> None:
    """Many columns keep one line a row, as psql does, and leave it to the terminal to wrap; few columns fold."""
    from rich.console import Console
    from rich.measure import Measurement

    drawn = _rich_table(table)
    unfolded = Console(file=console.file, width=UNFOLDED_WIDTH)
    natural_width = Measurement.get(unfolded, unfolded.options, drawn).maximum
    if len(table.columns) > FOLDED_COLUMNS and natural_width > console.width:
        unfolded.width = natural_width
        unfolded.print(drawn)
    else:
        console.print(drawn)


def _rich_table(table: Table) -> "RichTable":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=table.title and mask_known(table.title),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for column in table.columns:
        drawn.add_column(
            column,
            justify="right" if column in table.right else "left",
            overflow="fold",
        )
    for row in table.texts():
        drawn.add_row(*(Text(mask_known(text)) for text in row))
    return drawn
