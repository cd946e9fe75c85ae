"""What a replay would do, counted and shown by examples: each record beside what today's mapping makes of its payload.

Pure computing. Memory is bounded by the number of fields and kinds of defect, not by that of records.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from kasparro.core.masking import mask_text
from kasparro.ingestion.columns.stored import parse
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import LaneShare, ReaderBatch, split
from kasparro.ingestion.transform import TransformedBatch
from kasparro.schemas.batches import LaneBatch
from kasparro.services.stored_pages import StoredPage

SAMPLES: Final = 3
_SHOWN_CHARACTERS: Final = 200
_MOST_FIELDS: Final = 1_000
_ABSENT: Final = object()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OUTCOMES: Final = (
    "added", "changed", "unchanged", "removed", "rejected", "deleted", "still_left_out", "other_key",
)  # fmt: skip
_DIFFERENCES: Final = frozenset(("added", "changed", "removed", "rejected", "deleted"))
FIELDS: Final = (
    "title", "body", "url", "author", "category", "tags", "value", "unit", "occurred_at", "entity_key", "attributes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A page, and what became of it: `changed` are places in the page whose record differs, and `rows` those of
    `batch.rows` that hold what they would be.
    """

    page: StoredPage
    batch: LaneBatch
    changed: list[int]
    rows: list[int]


@dataclass(slots=True)
class _Group:
    """Records that have something in common, with a few examples."""

    records: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def count(self) -> bool:
        """Count one more; whether it is wanted as an example."""
        self.records += 1
        return len(self.samples) < SAMPLES


class Findings:
    """Of a whole replay, page by page: `judge`, then `compare` with the fields of the records that it names."""

    def __init__(self, mapping_version: int | None) -> None:
        self._mapping_version = mapping_version
        self._restamped = self._missing = 0
        self._groups = {name: _Group() for name in OUTCOMES}
        self._fields: dict[str, _Group] = {}
        self._rejects: dict[tuple[str, str | None], _Group] = {}

    def judge(self, page: StoredPage, transformed: TransformedBatch) -> Judged:
        """Count what becomes of a page; what it was transformed to has the ordinals from 1 on."""
        self._missing += page.missing
        (share,) = split(ReaderBatch(0, len(page), {}, page.size_bytes), transformed, [0])
        self._judge_left_out(page, share)
        batch = encode_share(share, "", datetime.now(UTC))
        changed, rows = self._judge_accepted(page, batch)
        return Judged(page, batch, changed, rows)

    def compare(self, judged: Judged, before: Mapping[int, Mapping[str, Any]]) -> None:
        """Count the fields in which changed records differ; `before` are their fields by id, out of the database."""
        chosen = judged.batch.rows.take(cast("Any", judged.rows))
        standing = [before[judged.page.records.ids[place]] for place in judged.changed]
        for name in FIELDS:
            old, new = [row[name] for row in standing], _values(name, chosen.column(name))
            if name == "attributes":
                self._compare_attributes(judged, _objects(old), _objects(new))
            elif old != new:
                for place, was, is_now in zip(judged.changed, old, new, strict=True):
                    if was != is_now:
                        self._count_field(name, judged.page, place, (was, is_now))

    @property
    def records(self) -> int:
        """How many were judged."""
        return sum(group.records for group in self._groups.values())

    @property
    def differs(self) -> bool:
        """Whether any record would be another one."""
        return any(self._groups[name].records for name in _DIFFERENCES)

    def as_json(self) -> dict[str, Any]:
        """All of it, most frequent first."""
        return {
            "records": self.records,
            "missing": self._missing,
            "counts": {name: group.records for name, group in self._groups.items()},
            "restamped": self._restamped,
            "samples": {name: group.samples for name, group in self._groups.items() if name != "unchanged"},
            "fields": [
                {"field": name, "records": group.records, "samples": group.samples}
                for name, group in _frequent(self._fields)
            ],
            "rejects": [
                {"code": code, "field": name, "records": group.records, "samples": group.samples}
                for (code, name), group in _frequent(self._rejects)
            ],
        }

    def _judge_left_out(self, page: StoredPage, share: LaneShare) -> None:
        for outcome, records in (("removed", share.filtered), ("deleted", share.tombstones)):
            for record in records:
                self._count_left_out(page, record.ordinal - 1, outcome)
        for record in share.rejected:
            place = record.ordinal - 1
            self._count_left_out(page, place, "rejected")
            if not page.records.left_out[place]:
                for (code, name), defect in {(each.code, each.field): each for each in record.defects}.items():
                    group = self._rejects.setdefault((code, name), _Group())
                    if group.count():
                        group.samples.append({**_place(page, place), "message": mask_text(defect.message)})

    def _count_left_out(self, page: StoredPage, place: int, outcome: str) -> None:
        self._count("still_left_out" if page.records.left_out[place] else outcome, page, place)

    def _count(self, outcome: str, page: StoredPage, place: int) -> None:
        group = self._groups[outcome]
        if group.count():
            group.samples.append(_place(page, place))

    def _judge_accepted(self, page: StoredPage, batch: LaneBatch) -> tuple[list[int], list[int]]:
        """Places in the page, and rows of the batch, of live records that would be others."""
        changed, rows = list[int](), list[int]()
        known, ordinals = page.records, batch.ordinals()[: batch.accepted]
        accepted = zip(ordinals, batch.accepted_keys(), batch.record_hash_list(), strict=True)
        for row, (ordinal, key, record_hash) in enumerate(accepted):
            place = ordinal - 1
            if key != known.keys[place]:
                self._count("other_key", page, place)
            elif known.left_out[place]:
                self._count("added", page, place)
            elif record_hash == known.record_hashes[place]:
                self._count("unchanged", page, place)
                self._restamped += known.mapping_versions[place] != self._mapping_version
            else:
                self._count("changed", page, place)
                changed.append(place)
                rows.append(row)
        return changed, rows

    def _compare_attributes(self, judged: Judged, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
        for place, was, is_now in zip(judged.changed, old, new, strict=True):
            if was != is_now:
                for name in sorted({*was, *is_now}):
                    if was.get(name, _ABSENT) != is_now.get(name, _ABSENT):
                        values = (was.get(name), is_now.get(name))
                        self._count_field(f"attributes.{name}", judged.page, place, values)

    def _count_field(self, name: str, page: StoredPage, place: int, values: tuple[Any, Any]) -> None:
        """Count a record in which the field differs. Names that there are too many of count under one."""
        if name not in self._fields and len(self._fields) >= _MOST_FIELDS:
            name = "attributes"
        group = self._fields.setdefault(name, _Group())
        if group.count():
            group.samples.append({**_place(page, place), "before": _shown(values[0]), "after": _shown(values[1])})


def _values(name: str, column: Any) -> list[Any]:
    """Of a column. Times by their number: Arrow would look for pandas, which a command hides for a faster start."""
    if name == "value":
        return [None if text is None else Decimal(text) for text in column.to_pylist()]
    if name != "occurred_at":
        return column.to_pylist()
    moments: list[int | None] = column.cast("int64").to_pylist()
    return [None if moment is None else _EPOCH + timedelta(microseconds=moment) for moment in moments]


def _place(page: StoredPage, place: int) -> dict[str, Any]:
    return {"key": page.records.keys[place], "locator": page.locators[place]}


def _frequent(groups: Mapping[Any, _Group]) -> Sequence[tuple[Any, _Group]]:
    return sorted(groups.items(), key=lambda item: -item[1].records)


def _objects(texts: list[str | None]) -> list[dict[str, Any]]:
    return parse([text or "{}" for text in texts])


def _shown(value: Any) -> str | None:
    """A value as text, cut where it is long."""
    if value is None:
        return None
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
