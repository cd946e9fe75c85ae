"""Clean rows of text as Arrow columns, which are at the same time the sequence of their records."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.source import SourceRecord

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


@dataclass(frozen=True, slots=True)
class TextColumns(Sequence[SourceRecord]):
    """Rows that stand in consecutive lines of one file, one line each; no cell needs an escape in JSON.

    `cells` has one string column for each name, in the file's order, without nulls. Rows that come from anywhere else
    have `places`, a string column with the locator of each.
    """

    cells: pa.RecordBatch
    partition: str = ""
    first_line: int = 0
    places: pa.Array | None = None

    def __len__(self) -> int:
        return self.cells.num_rows

    @overload
    def __getitem__(self, index: int) -> SourceRecord: ...
    @overload
    def __getitem__(self, index: slice) -> "TextColumns": ...
    def __getitem__(self, index: int | slice) -> "SourceRecord | TextColumns":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("rows of columns are sliced without a step")
            return self._slice(start, max(0, stop - start))
        position = range(len(self))[index]
        return next(iter(self[position : position + 1]))

    def __iter__(self) -> Iterator[SourceRecord]:
        names = self.cells.schema.names
        rows = zip(*(column.to_pylist() for column in self.cells.columns), strict=True)
        for row, locator in zip(rows, cast("list[str]", self.locators().to_pylist()), strict=True):
            yield SourceRecord(dict(zip(names, row, strict=True)), locator)

    def _slice(self, start: int, length: int) -> "TextColumns":
        places = None if self.places is None else self.places.slice(start, length)
        return TextColumns(self.cells.slice(start, length), self.partition, self.first_line + start, places)

    def locators(self) -> pa.Array:
        """Of each row, as `SourceRecord.locator`."""
        if self.places is not None:
            return self.places
        lines = pa.array(range(self.first_line, self.first_line + len(self)), pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(f"{self.partition}:", lines, "")


class RecordParts(Sequence[SourceRecord]):
    """Records in source order, part by part; a part may be TextColumns."""

    def __init__(self) -> None:
        self.parts: list[Sequence[SourceRecord]] = []
        self._length = 0

    def extend(self, records: Sequence[SourceRecord]) -> None:
        """Put records behind those that are here."""
        if records:
            self.parts.append(records)
            self._length += len(records)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> SourceRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[SourceRecord]: ...
    def __getitem__(self, index: int | slice) -> SourceRecord | list[SourceRecord]:
        if isinstance(index, slice):
            return list(self)[index]
        position = range(self._length)[index]
        for part in self.parts:
            if position < len(part):
                return part[position]
            position -= len(part)
        raise IndexError(index)

    def __iter__(self) -> Iterator[SourceRecord]:
        for part in self.parts:
            yield from part


def parts_of(records: Sequence[SourceRecord]) -> Sequence[Sequence[SourceRecord]]:
    """The parts that records came in."""
    return records.parts if isinstance(records, RecordParts) else [records]
