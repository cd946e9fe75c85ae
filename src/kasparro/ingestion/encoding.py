"""From a lane's share to the columns that the store writes. Pure computing, meant for a thread."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pyarrow as pa

from kasparro.core.masking import mask_text
from kasparro.ingestion.lanes import LaneShare
from kasparro.ingestion.source import Defect
from kasparro.ingestion.transform import Accepted, Rejected
from kasparro.schemas.batches import (
    STAGE_SCHEMA,
    LaneBatch,
    RejectReason,
    ReplayedShare,
    StandingRecords,
    StoredShare,
)

_TEXT_FIELDS = ("title", "body", "url", "author", "category", "unit", "entity_key")
_EMPTY_OBJECT = "{}"


def encode_share(share: LaneShare, partition: str, fetched_at: datetime) -> LaneBatch:
    """The share as a LaneBatch; equal rejects are merged, and only distinct rejected payloads become rows."""
    firsts = _distinct(share.rejected)
    rows = _all_rows(share, firsts)
    return LaneBatch(
        partition=partition,
        lane=share.lane,
        ordinal=share.ordinal,
        cursor=share.cursor,
        fetched=share.fetched,
        filtered=len(share.filtered),
        rejected=len(share.rejected),
        fetched_at=fetched_at,
        rows=rows,
        reasons=_reasons(share, {first.content_hash: first.ordinal for first in firsts}),
        filtered_keys=[record.record_key for record in share.filtered if record.record_key is not None],
        tombstones=share.tombstones,
        size_bytes=share.size_bytes,
    )


def with_origin(batch: LaneBatch, share: LaneShare, raw_ids: Sequence[int], before: int) -> LaneBatch:
    """The batch with the raw rows that its records stand in; `raw_ids` are those of the ordinals behind `before`."""
    stored = StoredShare(
        raw_ids=[raw_ids[ordinal - before - 1] for ordinal in batch.ordinals()],
        filtered_raw_ids=[raw_ids[record.ordinal - before - 1] for record in share.filtered],
        tombstone_raw_ids=[raw_ids[record.ordinal - before - 1] for record in share.tombstones],
        rejected_raw_ids=[raw_ids[record.ordinal - before - 1] for record in share.rejected],
    )
    return replace(batch, stored=stored)


def with_standing(batch: LaneBatch, share: LaneShare, standing: StandingRecords, before: int) -> LaneBatch:
    """The batch with the records that it may replace; `standing` are those of the ordinals behind `before`."""

    def of(ordinals: Iterable[int]) -> StandingRecords:
        return standing.take([ordinal - before - 1 for ordinal in ordinals])

    replayed = ReplayedShare(
        accepted=of(batch.ordinals()[: batch.accepted]),
        rejected=of(record.ordinal for record in share.rejected),
        filtered=of(record.ordinal for record in share.filtered),
        tombstones=of(record.ordinal for record in share.tombstones),
        reject_ids={record.content_hash: standing.raw_ids[record.ordinal - before - 1] for record in share.rejected},
    )
    return replace(batch, replayed=replayed)


def _distinct(rejected: Iterable[Rejected]) -> list[Rejected]:
    """The first occurrence of each rejected payload."""
    firsts: dict[bytes, Rejected] = {}
    for record in rejected:
        firsts.setdefault(record.content_hash, record)
    return list(firsts.values())


def _all_rows(share: LaneShare, firsts: list[Rejected]) -> pa.RecordBatch:
    """Accepted records in the order of their ordinals, whichever way they came, then rejected payloads."""
    if not share.columns:
        return _rows(share.accepted, firsts)
    accepted = _joined([*share.columns, _rows(share.accepted, [])] if share.accepted else share.columns)
    if share.accepted:
        accepted = accepted.sort_by("ordinal")
    return _joined([accepted, _rows([], firsts)]) if firsts else accepted


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows as one batch; there are some."""
    return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _rows(accepted: list[Accepted], rejected: list[Rejected]) -> pa.RecordBatch:
    both: list[Accepted | Rejected] = [*accepted, *rejected]
    blank: list[None] = [None] * len(rejected)
    records = [record.record for record in accepted]
    columns: dict[str, list[Any]] = {
        "ordinal": [record.ordinal for record in both],
        "reject": [False] * len(accepted) + [True] * len(rejected),
        "record_key": [record.record_key for record in both],
        "payload": [record.payload_json for record in both],
        "content_hash": [record.content_hash for record in both],
        "locator": [record.locator for record in both],
        "record_hash": [record.record_hash for record in accepted] + blank,
        "tags": [record.tags or None for record in records] + blank,
        "value": [None if record.value is None else str(record.value) for record in records] + blank,
        "occurred_at": [record.occurred_at for record in records] + blank,
        "attributes": [_or_none(record.attributes_json) for record in accepted] + blank,
        "version": [record.version for record in accepted] + blank,
    }
    for name in _TEXT_FIELDS:
        columns[name] = [getattr(record, name) for record in records] + blank
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[item.name], item.type) for item in STAGE_SCHEMA], schema=STAGE_SCHEMA
    )


def _or_none(attributes_json: str) -> str | None:
    return None if attributes_json == _EMPTY_OBJECT else attributes_json


def _reasons(share: LaneShare, stage_ordinals: dict[bytes, int]) -> list[RejectReason]:
    """One reason for each (payload, code, field); counted once a record, described by its last occurrence."""
    if not share.rejected:
        return []
    last_settled = _last_settled(share)
    merged: dict[tuple[bytes, str, str | None], RejectReason] = {}
    for record in share.rejected:
        for defect in _once(record.defects):
            identity = (record.content_hash, defect.code, defect.field)
            earlier = merged.get(identity)
            merged[identity] = RejectReason(
                ordinal=stage_ordinals[record.content_hash],
                last_ordinal=record.ordinal,
                code=defect.code,
                field=defect.field,
                message=mask_text(defect.message),
                record_key=record.record_key,
                content_hash=record.content_hash,
                locator=record.locator,
                times=1 + (earlier.times if earlier else 0),
                loads_later=last_settled.get(record.record_key or "", 0) > record.ordinal,
            )
    return list(merged.values())


def _last_settled(share: LaneShare) -> dict[str, int]:
    """Of each key, the ordinal of its last accepted record or tombstone."""
    last = {record.record_key: record.ordinal for record in share.accepted}
    for tombstone in share.tombstones:
        last[tombstone.record_key] = max(tombstone.ordinal, last.get(tombstone.record_key, 0))
    for rows in share.columns:
        keys = cast("list[str]", rows.column("record_key").to_pylist())
        ordinals = cast("list[int]", rows.column("ordinal").to_pylist())
        for key, ordinal in zip(keys, ordinals, strict=True):
            last[key] = max(ordinal, last.get(key, 0))
    return last


def _once(defects: Iterable[Defect]) -> list[Defect]:
    return list({(defect.code, defect.field): defect for defect in defects}.values())
