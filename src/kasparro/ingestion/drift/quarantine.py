"""Takes records out of a transformed batch: what was good becomes rejected, and nothing else changes."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.source import Defect
from kasparro.ingestion.transform import Rejected, TransformedBatch

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


def quarantined(batch: TransformedBatch, violations: Mapping[int, Defect]) -> TransformedBatch:
    """The batch in which the records of these ordinals are rejected for these defects, and for nothing else; those that
    would have deleted included.
    """
    if not violations:
        return batch
    rejected = [
        replace(record, defects=(violations[record.ordinal],)) if record.ordinal in violations else record
        for record in batch.rejected
    ]
    for record in (*batch.accepted, *batch.tombstones):
        if record.ordinal in violations:
            rejected.append(
                Rejected(
                    record.ordinal, record.record_key, record.payload_json, record.content_hash, record.locator,
                    (violations[record.ordinal],),
                )
            )  # fmt: skip
    wanted = pa.array(sorted(violations), pa.int64())
    columns: list[pa.RecordBatch] = []
    for rows in batch.columns:
        are_held = pc.is_in(rows.column("ordinal"), wanted)
        rejected += _rejected_rows(rows.filter(are_held), violations)
        columns.append(rows.filter(pc.invert(are_held)))
    return TransformedBatch(
        fetched=batch.fetched,
        columns=[rows for rows in columns if rows.num_rows],
        accepted=[record for record in batch.accepted if record.ordinal not in violations],
        rejected=sorted(rejected, key=attrgetter("ordinal")),
        filtered=batch.filtered,
        tombstones=[record for record in batch.tombstones if record.ordinal not in violations],
    )


def _rejected_rows(rows: pa.RecordBatch, violations: Mapping[int, Defect]) -> list[Rejected]:
    names = ("ordinal", "record_key", "payload", "content_hash", "locator")
    ordinals, keys, payloads, hashes, locators = (cast("list[Any]", rows.column(name).to_pylist()) for name in names)
    return [
        Rejected(*cells, (violations[cells[0]],))
        for cells in zip(ordinals, keys, payloads, hashes, locators, strict=True)
    ]
