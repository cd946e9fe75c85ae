"""The profile of payloads that are JSON objects: structure column by column, values of fewer records."""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast

from kasparro.ingestion.drift.profile import ROOT, Profile
from kasparro.ingestion.drift.sampling import STRUCTURE, VALUES, sampled_ordinals
from kasparro.ingestion.drift.tallies import MOST_CHARACTERS, Place, Tally, storable
from kasparro.ingestion.source import Payload

DEEPEST: Final = 8
"""Objects and lists that are nested more deeply are not looked into."""
MOST_ELEMENTS: Final = 8
"""So many elements of a list are looked at."""
_LONGEST_NAME: Final = 100


class _Types(dict[type, str]):
    """JSON types by Python's; a reader may have a kind of its own for odd numbers or objects."""

    def __missing__(self, kind: type) -> str:
        self[kind] = next(name for base, name in list(self.items()) if issubclass(kind, base))
        return self[kind]


_TYPES: Final = _Types({
    type(None): "null", bool: "boolean", int: "number", float: "number", Decimal: "number", str: "string",
    dict: "object", list: "array",
})  # fmt: skip
_CONTAINERS: Final = {"object": dict, "array": list}
_DATA: Final = re.compile(r"\d+|\d{4}-\d\d(?:-\d\d.*)?|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4}", re.IGNORECASE)
Found = tuple[int, int, int]
"""How many values, and the places of the first and the last."""


def profile_payloads(payloads: Sequence[Payload], locators: Sequence[str], first_ordinal: int) -> Profile:
    """The profile of payloads in their order; the first has this ordinal."""
    profile = Profile()
    positions = [ordinal - first_ordinal for ordinal in sampled_ordinals(STRUCTURE, first_ordinal, len(payloads))]
    profile.count(len(payloads), len(positions), first_ordinal)
    objects = [payloads[position] for position in positions]
    _Structure(profile, locators, first_ordinal).add(ROOT, objects, positions, 0)
    sampled = _Leaves()
    for ordinal in sampled_ordinals(VALUES, first_ordinal, len(payloads)):
        position = ordinal - first_ordinal
        sampled.add(payloads[position], ordinal, locators[position])
    for path, values in sampled.values.items():
        profile.field(path).values.add(values)
    profile.trim()
    return profile


class _Structure:
    """Counts which fields there are, and of which types."""

    def __init__(self, profile: Profile, locators: Sequence[str], first_ordinal: int) -> None:
        self._profile = profile
        self._locators = locators
        self._first = first_ordinal

    def add(self, path: str, objects: Sequence[dict[str, Any]], positions: Sequence[int], depth: int) -> None:
        """Count the members of objects that stand at a path, each in the record of a position."""
        names = list(map(tuple, objects))
        if not names or names.count(names[0]) == len(names):
            self._members(path, objects, positions, depth)
            return
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, key in enumerate(names):
            groups.setdefault(key, []).append(place)
        for group in groups.values():
            self._members(path, [objects[place] for place in group], [positions[place] for place in group], depth)

    def _members(self, path: str, objects: Sequence[dict[str, Any]], positions: Sequence[int], depth: int) -> None:
        """The same for objects that have the same names in the same order."""
        columns = zip(*[item.values() for item in objects], strict=True)
        for name, column in zip(objects[0] if objects else (), columns, strict=True):
            self._column(member_path(path, name), column, positions, depth + 1)

    def _column(self, path: str, column: Sequence[Any], positions: Sequence[int], depth: int) -> None:
        found = self._profile.field(path)
        found.present.add(len(column), self._place(column, positions, 0), self._place(column, positions, -1))
        for kind, (count, first, last) in _by_type(column).items():
            ends = self._place(column, positions, first), self._place(column, positions, last)
            found.types.setdefault(kind, Tally()).add(count, *ends)
            if depth < DEEPEST and kind in _CONTAINERS:
                places = [place for place, value in enumerate(column) if value.__class__ is _CONTAINERS[kind]]
                inner, where = [column[place] for place in places], [positions[place] for place in places]
                (self.add if kind == "object" else self._elements)(path, inner, where, depth)

    def _elements(self, path: str, lists: Sequence[list[Any]], positions: Sequence[int], depth: int) -> None:
        pairs = zip(lists, positions, strict=True)
        elements = [(element, position) for items, position in pairs for element in items[:MOST_ELEMENTS]]
        if elements:
            values, where = [element for element, _ in elements], [position for _, position in elements]
            self._column(path + "[]", values, where, depth + 1)

    def _place(self, column: Sequence[Any], positions: Sequence[int], place: int) -> Place:
        position = positions[place]
        return Place(self._first + position, self._locators[position], shown(column[place]))


def _by_type(column: Sequence[Any]) -> dict[str, Found]:
    """The values of each JSON type; loops are left to functions in C."""
    kinds = list(map(type, column))
    found: dict[str, Found] = {}
    for kind in set(kinds):
        found[_TYPES[kind]] = _joined(found.get(_TYPES[kind]), _found(kinds, kind))
    if "string" in found and "" in column:
        return _with_empty_texts(column, found)
    return found


def _found(kinds: list[type], kind: type) -> Found:
    count = kinds.count(kind)
    if count == len(kinds):
        return count, 0, count - 1
    return count, kinds.index(kind), len(kinds) - 1 - kinds[::-1].index(kind)


def _joined(one: Found | None, other: Found) -> Found:
    return other if one is None else (one[0] + other[0], min(one[1], other[1]), max(one[2], other[2]))


def _with_empty_texts(column: Sequence[Any], found: dict[str, Found]) -> dict[str, Found]:
    """The same, with empty texts counted among the nulls."""
    texts = [place for place, value in enumerate(column) if value.__class__ is str]
    nulls = [place for place in texts if not column[place]]
    others = {kind: each for kind, each in found.items() if kind != "string"}
    others["null"] = _joined(found.get("null"), (len(nulls), nulls[0], nulls[-1]))
    if len(nulls) < len(texts):
        first = next(place for place in texts if column[place])
        last = next(place for place in reversed(texts) if column[place])
        others["string"] = (len(texts) - len(nulls), first, last)
    return others


class _Leaves:
    """The values of payloads that are neither null nor empty, nor objects or lists, by path."""

    def __init__(self) -> None:
        self.values: dict[str, list[tuple[Any, int, str]]] = {}

    def add(self, payload: Payload, ordinal: int, locator: str) -> None:
        """Add those of a record."""
        self._members(payload, ROOT, 0, (ordinal, locator))

    def _members(self, value: dict[str, Any], path: str, depth: int, where: tuple[int, str]) -> None:
        for name, member in value.items():
            self._value(member, member_path(path, name), depth + 1, where)

    def _value(self, value: Any, path: str, depth: int, where: tuple[int, str]) -> None:
        if isinstance(value, dict):
            if depth < DEEPEST:
                self._members(cast("dict[str, Any]", value), path, depth, where)
        elif isinstance(value, list):
            if depth < DEEPEST:
                for element in cast("list[Any]", value)[:MOST_ELEMENTS]:
                    self._value(element, path + "[]", depth + 1, where)
        elif value or (value is not None and value.__class__ is not str):
            found = self.values.get(path)
            if found is None:
                self.values[path] = [(value, *where)]
            else:
                found.append((value, *where))


@lru_cache(maxsize=4_096)
def member_path(path: str, name: str) -> str:
    """The path of an object's member; in nested objects, names that are data (numbers, days, ids) become `*`."""
    if not path:
        return storable(name[:_LONGEST_NAME])
    return f"{path}.{'*' if _DATA.fullmatch(name) else storable(name[:_LONGEST_NAME])}"


def shown(value: Any) -> str:
    """A value as an example shows it; of objects and lists only what they are."""
    if isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)[:MOST_CHARACTERS]
