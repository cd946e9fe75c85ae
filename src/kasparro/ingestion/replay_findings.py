"""What a replay would do, counted and shown by examples: each record beside what today's mapping makes of its payload.

Pure computing. Memory is bounded by the number of fields and kinds of defect, not by that of records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from kasparro.core.masking import mask_text
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import LaneShare, ReaderBatch, split
from kasparro.ingestion.transform import TransformedBatch
from kasparro.schemas.batches import LaneBatch
from kasparro.services.stored_pages import StoredPage

SAMPLES: Final = 3
_SHOWN_CHARACTERS: Final = 200
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

    def add(self, sample: dict[str, Any]) -> None:
        self.records += 1
        if len(self.samples) < SAMPLES:
            self.samples.append(sample)


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
        after = {name: _values(name, chosen.column(name)) for name in FIELDS}
        for number, place in enumerate(judged.changed):
            old = before[judged.page.records.ids[place]]
            for name, was, is_now in _differing(old, {name: after[name][number] for name in FIELDS}):
                values = {"before": _shown(was), "after": _shown(is_now)}
                self._fields.setdefault(name, _Group()).add({**_place(judged.page, place), **values})

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
                for defect in {(each.code, each.field): each for each in record.defects}.values():
                    sample = {**_place(page, place), "message": mask_text(defect.message)}
                    self._rejects.setdefault((defect.code, defect.field), _Group()).add(sample)

    def _count_left_out(self, page: StoredPage, place: int, outcome: str) -> None:
        self._groups["still_left_out" if page.records.left_out[place] else outcome].add(_place(page, place))

    def _judge_accepted(self, page: StoredPage, batch: LaneBatch) -> tuple[list[int], list[int]]:
        """Places in the page, and rows of the batch, of live records that would be others."""
        changed, rows = list[int](), list[int]()
        hashes = cast("list[bytes]", batch.rows.column("record_hash").to_pylist())
        accepted = zip(batch.ordinals()[: batch.accepted], batch.accepted_keys(), hashes, strict=False)
        unchanged = self._groups["unchanged"]
        for row, (ordinal, key, record_hash) in enumerate(accepted):
            place = ordinal - 1
            if key != page.records.keys[place]:
                self._groups["other_key"].add(_place(page, place))
            elif page.records.left_out[place]:
                self._groups["added"].add(_place(page, place))
            elif record_hash == page.records.record_hashes[place]:
                unchanged.records += 1
                self._restamped += page.records.mapping_versions[place] != self._mapping_version
            else:
                self._groups["changed"].add(_place(page, place))
                changed.append(place)
                rows.append(row)
        return changed, rows


def _values(name: str, column: Any) -> list[Any]:
    """Of a column. Times by their number: Arrow would look for pandas, which a command hides for a faster start."""
    if name != "occurred_at":
        return column.to_pylist()
    moments: list[int | None] = column.cast("int64").to_pylist()
    return [None if moment is None else _EPOCH + timedelta(microseconds=moment) for moment in moments]


def _place(page: StoredPage, place: int) -> dict[str, Any]:
    return {"key": page.records.keys[place], "locator": page.locators[place]}


def _frequent(groups: Mapping[Any, _Group]) -> Sequence[tuple[Any, _Group]]:
    return sorted(groups.items(), key=lambda item: -item[1].records)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The fields in which two records differ, each attribute as one, with both values."""
    found: list[tuple[str, Any, Any]] = []
    for name in FIELDS:
        was, is_now = old[name], new[name]
        if name == "attributes":
            found += _differing_attributes(_object(was), _object(is_now))
        elif name == "value":
            number = None if is_now is None else Decimal(is_now)
            if was != number:
                found.append((name, was, number))
        elif was != is_now:
            found.append((name, was, is_now))
    return found


def _differing_attributes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (f"attributes.{name}", old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name) or (name in old) != (name in new)
    ]


def _object(text: str | None) -> dict[str, Any]:
    return {} if text is None else json.loads(text, parse_float=Decimal)


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
