"""Clean rows of text to what the store writes, column by column. Pure computing, meant for a thread."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.hashing import as_binary, hash_texts
from kasparro.ingestion.columns.json_text import enclosed, member, stored_order, text_pieces
from kasparro.ingestion.columns.mapping import ColumnMapping
from kasparro.ingestion.columns.reading import Column
from kasparro.ingestion.columns.text import TextColumns
from kasparro.schemas.batches import STAGE_SCHEMA

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


@dataclass(frozen=True, slots=True)
class Judged:
    """`rows` are the accepted ones, by STAGE_SCHEMA; `declined` are positions of rows that must be judged alone."""

    rows: pa.RecordBatch
    declined: list[int]


def transform_columns(
    mapping: ColumnMapping, part: TextColumns, first_ordinal: int, *, all_stored: bool = False
) -> Judged:
    """Judge all rows at once; the first has the ordinal `first_ordinal`. For `all_stored` see Transformer."""
    cells = dict(zip(part.cells.schema.names, part.cells.columns, strict=True))
    length, mapping = len(part), mapping.of(cells.keys())
    if not mapping.columns <= cells.keys():
        return Judged(_nothing(), list(range(length)))
    payloads = _payloads(cells, sorted(cells))
    hashes = hash_texts(payloads)
    kept = {name: cell for name, cell in cells.items() if name not in mapping.ignore}
    content_hashes = hashes if len(kept) == len(cells) else hash_texts(_payloads(kept, sorted(kept)))
    keys, fields = mapping.record_keys(cells, hashes), mapping.fields(cells, length)
    version = mapping.version(cells)
    judged = [field.good for field in (keys, version, *fields.values()) if field is not None and field.good is not None]
    columns = {
        "ordinal": pa.array(range(first_ordinal, first_ordinal + length), pa.int64()),
        "reject": pa.repeat(pa.scalar(value=False), length),
        "record_key": keys.values,
        "payload": _payloads(cells, stored_order(cells)) if all_stored else payloads,
        "content_hash": as_binary(content_hashes),
        "locator": part.locators(),
        "record_hash": as_binary(hash_texts(_canonical({"record_key": keys, **fields}))),
        **{name: field.values for name, field in fields.items()},
        **({} if version is None else {"version": version.values}),
    }
    rows = pa.RecordBatch.from_arrays(
        [columns[item.name] if item.name in columns else pa.nulls(length, item.type) for item in STAGE_SCHEMA],
        schema=STAGE_SCHEMA,
    )
    if all(cast("Any", good).true_count == length for good in judged):
        return Judged(rows, [])
    good = reduce(pc.and_, judged)
    return Judged(rows.filter(good), pc.indices_nonzero(pc.invert(good)).to_pylist())


def _payloads(cells: Mapping[str, pa.Array], order: Sequence[str]) -> pa.Array:
    """JSON of each row: names in this order, cells as they are."""
    return enclosed([member(name, text_pieces(cells[name])) for name in order], "{", "}")


def _canonical(fields: Mapping[str, Column]) -> pa.Array:
    """The canonical form of each unified record: its fields by name, without those that have no value."""
    return enclosed([member(name, fields[name].canonical) for name in sorted(fields)], "{", "}")


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=STAGE_SCHEMA)
