"""A source's very first load: with no unified row to compare with, both tables take binary COPY directly.

Rows are reduced by key here, by the same rule as in `staging.py` for keys without a unified row. A key that an earlier
batch of the same pass has loaded shows as a unique violation: the caller rolls back to its savepoint and takes the
join instead.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services.copy_format import encode
from kasparro.services.loading import affected, raw_table, require_rows
from kasparro.services.staging import Tally

MAX_DECIMAL128_DIGITS = 38
_PLAIN_DECIMAL = r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$"
"""Numbers that decimal128 holds at whatever scale a batch of them has."""
pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take
_IDS = """
select array(select nextval('raw_id_seq') from generate_series(1, $1::integer)) as raw,
       array(select nextval('unified_data_id_seq') from generate_series(1, $2::integer)) as unified
"""
_CONTENT_COLUMNS = (
    "record_key", "title", "body", "url", "author", "category", "tags", "value", "unit", "occurred_at", "entity_key",
    "attributes", "content_hash", "record_hash",
)  # fmt: skip
UNIFIED_COLUMNS = (
    "id", "source_id", *_CONTENT_COLUMNS, "raw_id", "run_id", "pass_id", "mapping_version", "first_seen_at",
    "last_changed_at",
)  # fmt: skip
RAW_COLUMNS = (
    "id", "source_id", "run_id", "record_key", "payload", "content_hash", "locator", "prev_raw_id", "fetched_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reduction:
    """Which staged rows become raw and unified rows. Indices are positions in the batch's `rows`."""

    raw_indices: list[int]
    previous: list[int | None]
    """Of each raw row: the position in `raw_indices` of the raw row before it in its key."""
    unified_indices: list[int]
    current: list[int]
    """Of each unified row: the position in `raw_indices` of the raw row it points at."""
    duplicates: int

    def tally(self, ordinals: list[int]) -> Tally:
        """The counters that the join would have found."""
        inserted = len(self.unified_indices)
        return Tally(
            inserted=inserted,
            updated=0,
            updated_payload=0,
            unchanged=0,
            duplicate=self.duplicates,
            duplicate_payload=len(self.raw_indices) - inserted,
            rejected_new=0,
            seen=[],
            touched_ordinals=[ordinals[index] for index in self.unified_indices],
            known_hashes=[None] * inserted,
            new_records=inserted,
        )


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """A batch made ready for COPY into both tables, but for the ids."""

    reduction: Reduction
    raw: pa.RecordBatch
    unified: pa.RecordBatch


def reduce_by_key(keys: list[str], content_hashes: list[bytes]) -> Reduction:
    """The first row of a key is inserted, later ones are duplicates; a raw row wherever the payload changes."""
    if len(set(keys)) == len(keys):
        everything = list(range(len(keys)))
        return Reduction(everything, [None] * len(keys), everything, everything, 0)
    raw_indices: list[int] = []
    previous: list[int | None] = []
    newest: dict[str, int] = {}
    last_row: dict[str, int] = {}
    for index, (key, content_hash) in enumerate(zip(keys, content_hashes, strict=True)):
        earlier = newest.get(key)
        if earlier is None or content_hashes[raw_indices[earlier]] != content_hash:
            newest[key] = len(raw_indices)
            raw_indices.append(index)
            previous.append(earlier)
        last_row[key] = index
    unified = sorted((index, newest[key]) for key, index in last_row.items())
    indices = [index for index, _ in unified]
    return Reduction(raw_indices, previous, indices, [raw for _, raw in unified], len(keys) - len(indices))


def prepare(batch: LaneBatch) -> FirstLoad | None:
    """Everything that needs no ids; CPU work, done before the transaction. None when this batch must take the join.

    That is: it has rejects or no rows, or a number beyond decimal128 (38 digits in all, at the scale of the batch).
    """
    if batch.reasons or batch.rows.num_rows == 0:
        return None
    values = _decimals(batch.rows.column("value"))
    if values is None:
        return None
    position = batch.rows.schema.get_field_index("value")
    rows = batch.rows.set_column(position, pa.field("value", values.type), values)
    reduction = reduce_by_key(batch.keys(), batch.content_hashes())
    raw = rows.select(["record_key", "payload", "content_hash", "locator"]).take(
        pa.array(reduction.raw_indices, pa.int64())
    )
    unified = rows.select(list(_CONTENT_COLUMNS)).take(pa.array(reduction.unified_indices, pa.int64()))
    return FirstLoad(reduction, raw, unified)


def _decimals(texts: pa.Array) -> pa.Array | None:
    """The column as decimal128 at the largest scale that occurs, or None when a value does not fit."""
    if pc.all(pc.match_substring_regex(texts, _PLAIN_DECIMAL), min_count=0).as_py():
        fractions = pc.binary_length(pc.replace_substring_regex(texts, r"^[^.]*\.?", ""))
        scale = pc.max(fractions, min_count=0).as_py() or 0
        return texts.cast(pa.decimal128(MAX_DECIMAL128_DIGITS, scale))
    decimals = [None if text is None else Decimal(text) for text in texts.to_pylist()]
    present = [number for number in decimals if number is not None]
    scale = max((-min(0, int(number.as_tuple().exponent)) for number in present), default=0)
    whole = max((number.adjusted() + 1 for number in present if number), default=1)
    if scale + max(whole, 1) > MAX_DECIMAL128_DIGITS:
        return None
    return pa.array(decimals, pa.decimal128(MAX_DECIMAL128_DIGITS, scale))


async def load(
    connection: Connection, first: FirstLoad, stamp: RunStamp, *, fetched_at: datetime, at: datetime
) -> tuple[int, list[int]]:
    """COPY into unified, then raw; returns the number of raw rows that the server took, and the new unified ids.

    Raises asyncpg.UniqueViolationError when a key is already there, ConservationError for a missing unified row.
    """
    ids = await connection.fetchrow(_IDS, first.raw.num_rows, first.unified.num_rows)
    assert ids is not None
    raw_ids, unified_ids = ids["raw"], ids["unified"]
    unified, raw = await asyncio.to_thread(
        lambda: (
            encode(_unified_rows(first, raw_ids, unified_ids, stamp, at)),
            encode(_raw_rows(first, raw_ids, stamp, fetched_at)),
        )
    )
    copied = await _copy(connection, "unified_data", UNIFIED_COLUMNS, unified)
    require_rows("COPY into unified_data", copied, len(unified_ids))
    return await _copy(connection, raw_table(stamp.source_type), RAW_COLUMNS, raw), unified_ids


def _constant(value: object, type_: pa.DataType, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, type_), length)  # pyright: ignore[reportCallIssue, reportArgumentType]


def _unified_rows(
    first: FirstLoad, raw_ids: list[int], unified_ids: list[int], stamp: RunStamp, at: datetime
) -> pa.RecordBatch:
    rows = first.unified
    length = rows.num_rows
    current = pa.array([raw_ids[position] for position in first.reduction.current], pa.int64())
    changed_at = _constant(at, pa.timestamp("us", tz="UTC"), length)
    arrays = [
        pa.array(unified_ids, pa.int64()),
        _constant(stamp.source_id, pa.int32(), length),
        *rows.columns,
        current,
        _constant(stamp.run_id, pa.int64(), length),
        _constant(stamp.pass_id, pa.int64(), length),
        _constant(stamp.mapping_version, pa.int32(), length),
        changed_at,
        changed_at,
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(UNIFIED_COLUMNS))


def _raw_rows(first: FirstLoad, raw_ids: list[int], stamp: RunStamp, fetched_at: datetime) -> pa.RecordBatch:
    rows = first.raw
    length = rows.num_rows
    previous = [None if position is None else raw_ids[position] for position in first.reduction.previous]
    arrays = [
        pa.array(raw_ids, pa.int64()),
        _constant(stamp.source_id, pa.int32(), length),
        _constant(stamp.run_id, pa.int64(), length),
        *rows.columns,
        pa.array(previous, pa.int64()),
        _constant(fetched_at, pa.timestamp("us", tz="UTC"), length),
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(RAW_COLUMNS))


async def _copy(connection: Connection, table: str, columns: tuple[str, ...], data: bytes) -> int:
    """How many rows the server says it took."""
    status = await connection.copy_to_table(table, source=BytesIO(data), columns=columns, format="binary")
    return affected(status)
