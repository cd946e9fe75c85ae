"""Rows of the tables, as a verdict asks for them, in the form of binary COPY. CPU work, meant for a thread."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from datetime import datetime
from typing import Final

import pyarrow as pa

from kasparro.schemas.batches import RunStamp
from kasparro.services.copy_format import encode
from kasparro.services.numerics import numerics
from kasparro.services.verdict import RawRows, UnifiedRows

_FIELDS: Final = (
    "title", "body", "url", "author", "category", "tags", "value", "unit", "occurred_at", "entity_key", "attributes",
    "content_hash", "record_hash", "version",
)  # fmt: skip
RAW_COLUMNS: Final = (
    "id", "source_id", "run_id", "record_key", "payload", "content_hash", "locator", "prev_raw_id", "fetched_at",
)  # fmt: skip
NEW_COLUMNS: Final = (
    "id", "source_id", "record_key", *_FIELDS, "raw_id", "run_id", "pass_id", "mapping_version", "first_seen_at",
    "last_changed_at",
)  # fmt: skip
CHANGED_COLUMNS: Final = ("id", *_FIELDS, "raw_id")
_MOMENT: Final = pa.timestamp("us", tz="UTC")


def raw_rows(rows: pa.RecordBatch, wanted: RawRows, stamp: RunStamp, fetched_at: datetime) -> bytes:
    """Rows of a raw table, by RAW_COLUMNS."""
    chosen = _chosen(rows, ("record_key", "payload", "content_hash", "locator"), wanted.positions)
    length = len(wanted.ids)
    arrays = [
        pa.array(wanted.ids, pa.int64()),
        _constant(stamp.source_id, pa.int32(), length),
        _constant(stamp.run_id, pa.int64(), length),
        *chosen.columns,
        pa.array(wanted.previous, pa.int64()),
        _constant(fetched_at, _MOMENT, length),
    ]
    return encode(pa.RecordBatch.from_arrays(arrays, names=list(RAW_COLUMNS)))


def new_rows(rows: pa.RecordBatch, wanted: UnifiedRows, stamp: RunStamp, at: datetime) -> bytes:
    """New rows of `unified_data`, by NEW_COLUMNS."""
    chosen = _chosen(rows, ("record_key", *_FIELDS), wanted.positions)
    length = len(wanted.ids)
    arrays = [
        pa.array(wanted.ids, pa.int64()),
        _constant(stamp.source_id, pa.int32(), length),
        *_with_numerics(chosen),
        pa.array(wanted.raw_ids, pa.int64()),
        _constant(stamp.run_id, pa.int64(), length),
        _constant(stamp.pass_id, pa.int64(), length),
        _constant(stamp.mapping_version, pa.int32(), length),
        _constant(at, _MOMENT, length),
        _constant(at, _MOMENT, length),
    ]
    return encode(pa.RecordBatch.from_arrays(arrays, names=list(NEW_COLUMNS)))


def changed_rows(rows: pa.RecordBatch, wanted: UnifiedRows) -> bytes:
    """What rows of `unified_data` change to, by CHANGED_COLUMNS."""
    chosen = _chosen(rows, _FIELDS, wanted.positions)
    arrays = [pa.array(wanted.ids, pa.int64()), *_with_numerics(chosen), pa.array(wanted.raw_ids, pa.int64())]
    return encode(pa.RecordBatch.from_arrays(arrays, names=list(CHANGED_COLUMNS)))


def _chosen(rows: pa.RecordBatch, names: tuple[str, ...], positions: list[int] | None) -> pa.RecordBatch:
    columns = rows.select(list(names))
    return columns if positions is None else columns.take(pa.array(positions, pa.int64()))


def _with_numerics(rows: pa.RecordBatch) -> list[pa.Array]:
    return [
        numerics(column) if name == "value" else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    ]


def _constant(value: object, type_: pa.DataType, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, type_), length)  # pyright: ignore[reportCallIssue, reportArgumentType]
