"""In which form records are written: asked for by `format=`, else by `Accept` (RFC 9110, 12.5.1)."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from kasparro.core.errors import NotAcceptableError
from kasparro.services.data import COLUMNS, Field

Format = Literal["json", "ndjson", "csv"]
MEDIA_TYPES: Final[dict[Format, str]] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
}
_NAMES: Final[dict[Format, tuple[str, ...]]] = {
    "json": ("application/json",),
    "ndjson": ("application/x-ndjson", "application/ndjson", "application/jsonl"),
    "csv": ("text/csv",),
}
"""By which an `Accept` may ask for each; what comes first wins where a client likes several equally well."""
_RANGE: Final = re.compile(r"\s*([\w.+*-]+/[\w.+*-]+)\s*((?:;[^,]*)?)")
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HARMLESS: Final = {"integer", "decimal", "time"}


def accepted_format(accept: str | None) -> Format:
    """The format that an `Accept` header likes best. Raises NotAcceptableError where it allows none."""
    if accept is None or not accept.strip() or accept == "*/*":
        return "json"
    ranges = {match[1].lower(): _quality(match[2]) for match in map(_RANGE.match, accept.split(",")) if match}
    liked: dict[Format, float] = {format_: max(_liking(name, ranges) for name in _NAMES[format_]) for format_ in _NAMES}
    best = max(liked, key=lambda format_: liked[format_])
    if liked[best] == 0:
        raise NotAcceptableError(
            "Accept: none of the formats is allowed by it",
            hint=f"there are {', '.join(names[0] for names in _NAMES.values())}",
        )
    return best


def csv_text(fields: Sequence[Field] | None, rows: Sequence[Sequence[str | None]]) -> str:
    """RFC 4180 with a header. What a spreadsheet would take for a formula gets an apostrophe in front."""
    shown = [Field(name, column) for name, column in COLUMNS.items()] if fields is None else fields
    guarded = [number for number, field in enumerate(shown) if field.column.kind not in _HARMLESS]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([field.name for field in shown])
    for row in rows:
        cells: list[Any] = list(row)
        for number in guarded:
            cells[number] = _guarded(cells[number])
        writer.writerow(cells)
    return written.getvalue()


def _guarded(cell: str | None) -> str | None:
    return f"'{cell}" if cell and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell


def _quality(parameters: str) -> float:
    match = _QUALITY.search(parameters)
    return min(1.0, float(match[1])) if match else 1.0


def _liking(name: str, ranges: dict[str, float]) -> float:
    """That of the most specific range that covers the name."""
    covering = (name, f"{name.partition('/')[0]}/*", "*/*")
    return next((ranges[range_] for range_ in covering if range_ in ranges), 0.0)
