"""The records of a batch as drift looks at them, in one interface: rows of text as columns, and JSON payloads.

Not looked at: what is filtered, what deletes beyond doubt, and what its reader knows to be wrong or nobody can store.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Collection, Sequence
from itertools import compress, repeat
from operator import le
from typing import Any, Final, Protocol, cast

import pyarrow as pa

from kasparro.ingestion.columns.text import TextColumns, parts_of
from kasparro.ingestion.drift.expected import Expected, Needed, Typed, Way, family_of, values_at
from kasparro.ingestion.drift.from_columns import profile_columns
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.source import READER_CODES, Payload, SourceRecord
from kasparro.ingestion.transform import TransformedBatch

_NOT_LOOKED_AT: Final = READER_CODES | {"unstorable"}
Lacking = dict[str, list[int]]
"""By path, the positions of records that lack a field."""


class Part(Protocol):
    """Records that are looked at, each at a position from 0."""

    def __len__(self) -> int: ...

    def ordinal(self, position: int) -> int:
        """The record's number in its pass."""
        ...

    def locator(self, position: int) -> str: ...

    def profile(self, first: int) -> Profile:
        """Their profile, with numbers of its own from `first`."""
        ...

    def some(self, positions: Sequence[int]) -> "Part":
        """Those at these positions."""
        ...

    def lacking(self, parent: Way, needed: Sequence[Needed]) -> tuple[int, Lacking]:
        """How many records have the object that these fields stand in, and which of them lack one."""
        ...

    def has_any(self, position: int, ways: Collection[Way]) -> bool:
        """Whether a record has anything at one of these."""
        ...

    def odd(self, typed: Typed) -> tuple[int, dict[int, Any]]:
        """How many records have values of a field, and an odd value of each that has some of unknown types."""
        ...


class Columns:
    """Rows of text."""

    def __init__(self, rows: TextColumns, ordinals: Sequence[int]) -> None:
        self._rows = rows
        self._ordinals = ordinals
        self._names = frozenset(rows.cells.schema.names)

    def __len__(self) -> int:
        return len(self._rows)

    def ordinal(self, position: int) -> int:
        return self._ordinals[position]

    def locator(self, position: int) -> str:
        return self._rows[position].locator

    def profile(self, first: int) -> Profile:
        return profile_columns(self._rows, first)

    def some(self, positions: Sequence[int]) -> "Columns":
        return Columns(_taken(self._rows, positions), [self._ordinals[each] for each in positions])

    def lacking(self, parent: Way, needed: Sequence[Needed]) -> tuple[int, Lacking]:
        if parent:
            return 0, {}
        size = len(self)
        return size, {each.path: list(range(size)) for each in needed if each.name not in self._names}

    def has_any(self, position: int, ways: Collection[Way]) -> bool:
        del position  # rows of one part have the same columns
        return any(len(way) == 1 and way[0] in self._names for way in ways)

    def odd(self, typed: Typed) -> tuple[int, dict[int, Any]]:
        if len(typed.way) != 1 or typed.way[0] not in self._names:
            return 0, {}
        cells = cast("list[str]", self._rows.cells.column(typed.way[0]).to_pylist())
        found = [(position, value, family_of(value)) for position, value in enumerate(cells)]
        filled = [each for each in found if each[2] is not None]
        return len(filled), {position: value for position, value, name in filled if name not in typed.known}


class Payloads:
    """JSON objects, or rows of text that were read one by one."""

    def __init__(self, records: Sequence[SourceRecord], ordinals: Sequence[int]) -> None:
        self._records = records
        self._payloads = [record.payload for record in records]
        self._ordinals = ordinals

    def __len__(self) -> int:
        return len(self._records)

    def ordinal(self, position: int) -> int:
        return self._ordinals[position]

    def locator(self, position: int) -> str:
        return self._records[position].locator

    def profile(self, first: int) -> Profile:
        return profile_payloads(self._payloads, _Locators(self._records), first)

    def some(self, positions: Sequence[int]) -> "Payloads":
        chosen = [self._records[each] for each in positions]
        return Payloads(chosen, [self._ordinals[each] for each in positions])

    def lacking(self, parent: Way, needed: Sequence[Needed]) -> tuple[int, Lacking]:
        if None in parent:
            return self._one_by_one(parent, needed)
        positions, objects, strange = _objects(self._payloads, cast("tuple[str, ...]", parent))
        names = frozenset(each.name for each in needed)
        lacking = Lacking()
        have_all = list(map(le, repeat(names), map(dict.keys, objects)))
        for place in [place for place, has in enumerate(have_all) if not has] if not all(have_all) else ():
            for each in needed:
                if each.name not in objects[place]:
                    lacking.setdefault(each.path, []).append(positions[place])
        for each in needed if strange else ():
            lacking[each.path] = sorted([*lacking.get(each.path, ()), *strange])
        return len(objects) + len(strange), lacking

    def has_any(self, position: int, ways: Collection[Way]) -> bool:
        return any(True for way in ways for _ in values_at(self._payloads[position], way))

    def odd(self, typed: Typed) -> tuple[int, dict[int, Any]]:
        size, odd = 0, dict[int, Any]()
        for position, payload in enumerate(self._payloads):
            values = [
                (value, name) for value in values_at(payload, typed.way) if (name := family_of(value)) is not None
            ]
            size += bool(values)
            strange = [value for value, name in values if name not in typed.known]
            if strange:
                odd[position] = strange[0]
        return size, odd

    def _one_by_one(self, parent: Way, needed: Sequence[Needed]) -> tuple[int, Lacking]:
        size, lacking = 0, Lacking()
        for position, payload in enumerate(self._payloads):
            objects, is_strange = _objects_in_lists(payload, parent)
            size += bool(objects) or is_strange
            for each in needed if objects or is_strange else ():
                if not any(each.name in found for found in objects):
                    lacking.setdefault(each.path, []).append(position)
        return size, lacking


def parts_looked_at(
    records: Sequence[SourceRecord], first_ordinal: int, batch: TransformedBatch, telling: Expected | None = None
) -> list[Part]:
    """The parts of a reader's batch, once it is known what became of each record.

    A record that deletes is looked at where it lacks one of the fields that are `telling` of deletions, or has values
    of other types there.
    """
    left_out = {record.ordinal for record in batch.filtered} | {record.ordinal for record in batch.tombstones}
    left_out |= {each.ordinal for each in batch.rejected if not _NOT_LOOKED_AT.isdisjoint(_codes(each.defects))}
    if telling is not None and batch.tombstones:
        deleting = parts_at(records, first_ordinal, {record.ordinal for record in batch.tombstones})
        left_out -= {part.ordinal(position) for part in deleting for position in _strange(part, telling)}
    return _parts(records, first_ordinal, left_out)


def parts_at(records: Sequence[SourceRecord], first_ordinal: int, ordinals: Collection[int]) -> list[Part]:
    """The parts of a reader's batch that are these records."""
    every = range(first_ordinal, first_ordinal + len(records))
    return _parts(records, first_ordinal, set(every).difference(ordinals))


def _parts(records: Sequence[SourceRecord], first_ordinal: int, left_out: Collection[int]) -> list[Part]:
    found: list[Part] = []
    ordinal = first_ordinal
    for part in parts_of(records):
        ordinals = range(ordinal, ordinal + len(part))
        ordinal += len(part)
        if (looked := _part(part, ordinals, left_out)) is not None:
            found.append(looked)
    return found


def _strange(part: Part, expected: Expected) -> set[int]:
    """The positions of records that are not as expected."""
    odd = {position for typed in expected.typed.values() for position in part.odd(typed)[1]}
    return odd | _lacking_any(part, expected.needed.values())


def _lacking_any(part: Part, needed: Collection[Needed]) -> set[int]:
    """The positions of records that lack one of these, and have nothing in its place."""
    return {
        position
        for each in needed
        for positions in part.lacking(each.parent, (each,))[1].values()
        for position in positions
        if not each.others or not part.has_any(position, each.others)
    }


def _part(records: Sequence[SourceRecord], ordinals: range, left_out: Collection[int]) -> Part | None:
    if not left_out or not any(ordinal in ordinals for ordinal in left_out):
        kept: Sequence[int] = ordinals
    else:
        kept = [ordinal for ordinal in ordinals if ordinal not in left_out]
    if not kept:
        return None
    if not isinstance(records, TextColumns):
        return Payloads(records if kept is ordinals else [records[each - ordinals[0]] for each in kept], kept)
    if kept is ordinals:
        return Columns(records, kept)
    return Columns(_taken(records, [each - ordinals[0] for each in kept]), kept)


def _taken(rows: TextColumns, positions: Sequence[int]) -> TextColumns:
    places = pa.array(positions, pa.int64())
    return TextColumns(rows.cells.take(places), places=rows.locators().take(places))


def _codes(defects: Sequence[Any]) -> set[str]:
    return {defect.code for defect in defects}


def _objects(
    payloads: Sequence[Payload], parent: tuple[str, ...]
) -> tuple[Sequence[int], list[dict[str, Any]], list[int]]:
    """The objects at a path, of those payloads that have one there, with their positions; and the positions of those
    that have anything else but nothing there, or on the way."""
    positions: Sequence[int] = range(len(payloads))
    found: list[Any] = list(payloads)
    strange: list[int] = []
    for name in parent:
        members = [each.get(name) for each in found]
        are_objects = [isinstance(each, dict) for each in members]
        if not all(are_objects):
            pairs = zip(positions, members, strict=True)
            strange += [at for at, value in pairs if not isinstance(value, dict) and not _is_nothing(value)]
            positions = list(compress(positions, are_objects))
            members = list(compress(members, are_objects))
        found = members
    return positions, found, strange


def _objects_in_lists(payload: Payload, way: Way) -> tuple[list[dict[str, Any]], bool]:
    """The objects that a way through lists leads to, and whether anything else stands there, or on the way."""
    values: list[Any] = [payload]
    is_strange = False
    for name in way:
        kind = list if name is None else dict
        is_strange |= any(not isinstance(value, kind) and not _is_nothing(value) for value in values)
        values = list(values_at(values, (None, name)))
    is_strange |= any(not isinstance(value, dict) and not _is_nothing(value) for value in values)
    return [value for value in values if isinstance(value, dict)], is_strange


def _is_nothing(value: Any) -> bool:
    """As a profile counts nulls."""
    return value is None or value == ""


class _Locators(Sequence[str]):
    """The locators of records, each made only when it is asked for."""

    def __init__(self, records: Sequence[SourceRecord]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index].locator
