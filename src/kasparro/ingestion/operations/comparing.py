"""Two runs of a source side by side, down to the record: a question in one snapshot, without a lock.

docs/comparing-runs.md says what is compared with what.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.core.differences import Difference, differences
from kasparro.core.errors import IncomparableError
from kasparro.core.exact_json import parse, write
from kasparro.core.masking import mask_text
from kasparro.ingestion.fed_fields import FedFields
from kasparro.ingestion.operations import compared_causes
from kasparro.ingestion.operations.compared_kinds import DIFFERENCES, Kinds, kinds_of
from kasparro.schemas.pages.comparison import (
    ComparedRecord,
    ComparedRecords,
    ComparedRun,
    FieldChanged,
    RecordChange,
    RecordKind,
    RunComparison,
)
from kasparro.services import compared_records, compared_runs, raw_rows, read_passes, run_pages
from kasparro.services.compared_records import Between, Link
from kasparro.services.digest import as_text
from kasparro.services.read_passes import Reading

LOOKED_AT: Final = 1_000
"""So many changed records are looked at for the fields in which they differ."""
_MOST_CHANGES: Final = 50
_MOST_FIELDS: Final = 100
_PAYLOADS_AT_ONCE: Final = 100
_LONGEST_VALUE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """Which records to list: `kinds`, from behind the place `after` (that of a kind in `kinds`, and an id)."""

    kinds: tuple[RecordKind, ...] = DIFFERENCES
    after: tuple[int, int] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer, where its next page begins, and how many records there are to list; None where that is not known."""

    comparison: RunComparison
    next_after: tuple[int, int] | None
    total: int | None


async def compare(connection: Connection, base_id: int, target_id: int, listing: Listing) -> Compared:
    """The earlier run is the base, whichever was named so.

    Raises NotFoundError, IncomparableError (runs of two sources, one run twice, one that has not begun).
    """
    first, second = [await run_pages.find_seen(connection, run_id) for run_id in (base_id, target_id)]
    _require_comparable(first, second)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        readings = [await read_passes.of_run(connection, run) for run in (first, second)]
        swapped = _place(readings[0], first) > _place(readings[1], second)
        base, target = (second, first) if swapped else (first, second)
        same = first["mapping_version"] == second["mapping_version"]
        between = Between(first["source_type"], *(reversed(readings) if swapped else readings), same_mapping=same)
        kinds = await kinds_of(connection, between)
        return await _Comparing(connection, between, kinds, base, target).compared(listing, swapped=swapped)


def _require_comparable(first: dict[str, Any], second: dict[str, Any]) -> None:
    if first["id"] == second["id"]:
        raise IncomparableError(f"run {first['id']} cannot be compared with itself")
    if first["source"] != second["source"]:
        told = " and ".join(f"run {run['id']} is of source {run['source']}" for run in (first, second))
        raise IncomparableError(f"{told}: only runs of one source can be compared")
    for run in (first, second):
        if run["pass_id"] is None or run["started_at"] is None:
            raise IncomparableError(f"run {run['id']} is {run['state']}: it has not begun")


def _place(reading: Reading, run: dict[str, Any]) -> tuple[Any, ...]:
    """Runs of a source come one after another; of one reading, the run decides."""
    return reading.finished_at is None, reading.finished_at or reading.started_at, run["started_at"], run["id"]


@dataclass(frozen=True, slots=True)
class _Comparing:
    """What a comparison is put together from. `base` and `target` are rows of the runs that were named."""

    connection: Connection
    between: Between
    kinds: Kinds
    base: dict[str, Any]
    target: dict[str, Any]

    async def compared(self, listing: Listing, *, swapped: bool) -> Compared:
        texts = await compared_runs.mapping_texts(
            self.connection, [run["mapping_version"] for run in (self.base, self.target)]
        )
        before, after = (texts.get(run["mapping_version"]) for run in (self.base, self.target))
        fed = FedFields.of(after, self.between.source_type)
        drift, more_drift = await compared_runs.drift_between(self.connection, self.base, self.target)
        totals = self.kinds.totals()
        found = compared_causes.causes(self.base, self.target, totals)
        records, next_after = await self._records(listing, fed)
        comparison = RunComparison(
            verdict=compared_causes.verdict(found, totals, self.kinds.rewritten),
            differs=compared_causes.differs(found, totals, drift),
            source=self.base["source"],
            source_type=self.between.source_type,
            swapped=swapped,
            base=_shown(self.base, self.between.base),
            target=_shown(self.target, self.between.target),
            causes=found,
            counters=compared_causes.counters(self.between.base, self.between.target),
            durations=compared_causes.durations(self.between.base, self.between.target),
            mapping_changes=compared_causes.mapping_changes(before, after),
            drift=drift,
            more_drift=more_drift,
            records=records,
            notes=list(self.kinds.notes),
        )
        total = self.kinds.count(listing.kinds) if self.kinds.ids else None
        return Compared(comparison, next_after, total)

    async def _records(self, listing: Listing, fed: FedFields) -> tuple[ComparedRecords, tuple[int, int] | None]:
        chosen = self.kinds.page(listing.kinds, listing.after, listing.limit + 1)
        page, more = chosen[: listing.limit], len(chosen) > listing.limit
        fields, looked_at = await self._fields(fed)
        records = ComparedRecords(
            totals=self.kinds.totals(),
            fields=fields,
            fields_of=looked_at,
            rewritten=self.kinds.rewritten,
            listed=list(listing.kinds),
            items=await self._items(page, fed),
        )
        return records, (listing.kinds.index(page[-1][0]), page[-1][1]) if more else None

    async def _items(self, page: Sequence[tuple[RecordKind, int]], fed: FedFields) -> list[ComparedRecord]:
        ids = [number for _, number in page]
        rows = await compared_records.records(self.connection, ids) if ids else {}
        moving = [rows[number]["record_key"] for kind, number in page if kind in ("new", "changed", "deleted")]
        links = await compared_records.links(self.connection, self.between, moving) if moving else {}
        found = await self._changes(links)
        return [self._item(kind, rows[number], links, found, fed) for kind, number in page]

    def _item(
        self,
        kind: RecordKind,
        row: Any,
        links: dict[str, Link],
        found: "dict[str, tuple[list[Difference], bool]]",
        fed: FedFields,
    ) -> ComparedRecord:
        key: str = row["record_key"]
        link, (changes, more) = links.get(key), found.get(key, (None, False))
        return ComparedRecord(
            kind=kind,
            id=row["id"],
            key=key,
            returned=kind == "new" and row["id"] not in self.kinds.fresh,
            deletion=row["deletion"],
            before_raw_id=link.before if link else None,
            after_raw_id=link.after if link else None,
            changes=None if changes is None else [_change(each, fed) for each in changes],
            more_changes=more,
        )

    async def _changes(self, links: dict[str, Link]) -> "dict[str, tuple[list[Difference], bool]]":
        """Where payloads differ, by key, of those that had one before; some at a time, for payloads may be large."""
        found: dict[str, tuple[list[Difference], bool]] = {}
        pairs = iter([(key, link.before, link.after) for key, link in links.items() if link.before is not None])
        while some := list(islice(pairs, _PAYLOADS_AT_ONCE)):
            wanted = [raw_id for _, before, after in some for raw_id in (before, after)]
            raw = await raw_rows.payloads(self.connection, self.between.source_type, wanted)
            texts = {
                key: (raw[before].payload, raw[after].payload)
                for key, before, after in some
                if before in raw and after in raw
            }
            found |= await asyncio.to_thread(_differences, texts)
        return found

    async def _fields(self, fed: FedFields) -> tuple[list[FieldChanged], int]:
        """Of the first `LOOKED_AT` changed records."""
        ids = list(islice(self.kinds.ids.get("changed", ()), LOOKED_AT))
        rows = await compared_records.records(self.connection, ids) if ids else {}
        keys = [row["record_key"] for row in rows.values()]
        links = await compared_records.links(self.connection, self.between, keys) if keys else {}
        found = await self._changes(links)
        counted = Counter(each.pointer for changes, _ in found.values() for each in changes)
        shown = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FIELDS]
        fields = [FieldChanged(pointer=name, records=count, feeds=fed.fed_by(name)) for name, count in shown]
        return fields, len(found)


def _differences(texts: dict[str, tuple[str, str]]) -> dict[str, tuple[list[Difference], bool]]:
    return {key: differences(parse(before), parse(after), most=_MOST_CHANGES) for key, (before, after) in texts.items()}


def _change(found: Difference, fed: FedFields) -> RecordChange:
    return RecordChange(
        pointer=found.pointer,
        change=found.change,
        before=_cut(found.before),
        after=_cut(found.after),
        feeds=fed.fed_by(found.pointer),
    )


def _cut(value: Any) -> Any:
    """A value as it is, or where it is long, the beginning of its text."""
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    text = value if isinstance(value, str) else write(value)
    return value if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _shown(run: dict[str, Any], reading: Reading) -> ComparedRun:
    names = ("id", "state", "trigger", "operation", "pass_id", "started_at", "finished_at", "config_hash",
             "mapping_version", "mapping_hash", "code_version")  # fmt: skip
    return ComparedRun(
        **{name: run[name] for name in names},
        runs=list(reading.run_ids),
        coverage={mask_text(name): each for name, each in reading.coverage.items()} or None,
        digest=None if run["digest"] is None else as_text(int(run["digest"])),
    )
