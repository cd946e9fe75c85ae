"""Payloads out of the database as records: rows of text as columns, wherever they fit. Pure computing, for a thread."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from typing import Any, Final, cast

import jiter
import pyarrow as pa
import pyarrow.json

from kasparro.ingestion.columns.text import RecordParts, TextColumns
from kasparro.ingestion.source import Payload, SourceRecord

_AT_ONCE: Final = 10_000
"""So many rows have to do without columns where one of them does not fit."""
_WORTH: Final = 200
"""Fewer rows than this are not made columns of."""


def stored_records(payloads: Sequence[str], locators: Sequence[str], *, text_only: bool) -> RecordParts:
    """The records of payloads as jsonb shows them, in their order. `text_only`: most are rows of a file's cells."""
    records = RecordParts()
    for begin in range(0, len(payloads), _AT_ONCE):
        some, places = payloads[begin : begin + _AT_ONCE], locators[begin : begin + _AT_ONCE]
        for first, last, plain in _runs(some) if text_only else [(0, len(some), False)]:
            columns = _columns(some[first:last], places[first:last]) if plain else None
            records.extend(columns or list(map(SourceRecord, parse(some[first:last]), places[first:last])))
    return records


def parse(payloads: Sequence[str]) -> list[Payload]:
    """The payloads with exact numbers, as an API's are read."""
    text = f"[{','.join(payloads)}]".encode()
    return jiter.from_json(text, allow_inf_nan=False, float_mode="decimal", cache_mode="keys")


def _runs(payloads: Sequence[str]) -> Iterator[tuple[int, int, bool]]:
    """Begin and end of rows that stand side by side, and whether they are many without an escape."""
    first = last = 0
    for has_escape, group in groupby(payloads, lambda payload: "\\" in payload):
        begin, last = last, last + sum(1 for _ in group)
        if has_escape or last - begin < _WORTH:
            continue
        if first < begin:
            yield first, begin, False
        yield begin, last, True
        first = last
    if first < last:
        yield first, last, False


def _columns(payloads: Sequence[str], locators: Sequence[str]) -> TextColumns | None:
    """None where a row has other names than the first, or a value that is no text."""
    (first,) = parse(payloads[:1])
    if not first or not all(isinstance(value, str) for value in first.values()):
        return None
    data = "\n".join(payloads).encode()
    schema = pa.schema([(name, pa.string()) for name in first])
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    try:
        table = pyarrow.json.read_json(BytesIO(data), reading, parsing)
    except pa.ArrowInvalid:
        return None
    batches = table.to_batches()
    if len(batches) != 1 or any(cast("Any", column).null_count for column in batches[0].columns):
        return None
    return TextColumns(batches[0], places=pa.array(locators, pa.string()))
