"""What an accepted shape lets one expect of each record: mapped fields that nearly all had, and of which types."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from kasparro.ingestion.drift.accepted import is_within
from kasparro.ingestion.drift.presence import objects_at
from kasparro.ingestion.drift.profile import ROOT, Profile, parent_of
from kasparro.ingestion.drift.readings import NULL_TEXTS, family, read_text
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.thresholds import FEWEST_COMPARED, FEWEST_RECORDS, NEARLY_ALL, UNKNOWN_SHARE
from kasparro.ingestion.drift.types import families, filled

Way = tuple[str | None, ...]
"""The names that lead to a value; None: the elements of a list."""
_KINDS: Final = {bool: "boolean", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Needed:
    """A field that nearly all objects had which it may stand in: `absent` of `looked` had it not.

    A record that has something at one of the ways of `others` does not need it: the mapping reads that instead.
    """

    path: str
    parent: Way
    name: str
    absent: int
    looked: int
    others: tuple[Way, ...] = ()

    @property
    def share(self) -> float:
        return 1 - self.absent / self.looked


@dataclass(frozen=True, slots=True)
class Typed:
    """A field's way, and the families that its values had (types.py)."""

    path: str
    way: Way
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expected:
    """Of all mapped fields, and of the objects and lists that they stand in."""

    needed: dict[str, Needed]
    typed: dict[str, Typed]


def expected_of(shape: Shape, mapped: Collection[str], alternatives: Iterable[Collection[str]] = ()) -> Expected:
    """What may be expected of mapped paths; nothing of those that few records have told of.

    Of each of `alternatives`, a record must have one.
    """
    known = shape.known
    wanted = wanted_paths(mapped, alternatives)
    found = Expected({}, {})
    for path in sorted(path for path in wanted if path in known.fields):
        way = way_of(known, path)
        if ".*" not in path and not path.endswith("[]") and (needed := _needed(known, path, way)) is not None:
            others = tuple(each for other in sorted(wanted[path]) for each in possible_ways(other))
            found.needed[path] = replace(needed, others=others)
        field = known.fields[path]
        if "*" not in way and filled(field) >= FEWEST_COMPARED:
            common = (name for name, share in families(field).items() if share >= UNKNOWN_SHARE)
            found.typed[path] = Typed(path, way, frozenset(common))
    return found


def wanted_paths(mapped: Collection[str], alternatives: Iterable[Collection[str]]) -> dict[str, frozenset[str]]:
    """All mapped paths and what they stand in, each with those that would do in its place."""
    wanted: dict[str, frozenset[str]] = {}
    for group in (*((path,) for path in mapped), *alternatives):
        for path in {path for each in group for path in (each, *_above(each))}:
            others = frozenset(each for each in group if not is_within(each, path))
            wanted[path] = others & wanted.get(path, others)
    return wanted


def possible_ways(path: str) -> set[Way]:
    """Where a path may lead that no accepted record has told of: a name may have dots in it."""
    names = path.replace("[]", ".[]").split(".")
    return {(path,), tuple(None if name == "[]" else name for name in names)}


def values_at(payload: Any, way: Way) -> Iterator[Any]:
    """The values that a way leads to."""
    values: Iterable[Any] = (payload,)
    for name in way:
        if name is None:
            values = [each for value in values if isinstance(value, list) for each in cast("list[Any]", value)]
        else:
            objects = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
            values = [value[name] for value in objects if name in value]
    yield from values


def family_of(value: Any) -> str | None:
    """The family of a value; None for one that means that there is none."""
    if isinstance(value, str):
        return None if not value or value in NULL_TEXTS else family(read_text(value))
    if value is None:
        return None
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), "number")


def _needed(known: Profile, path: str, way: Way) -> Needed | None:
    parent = _parent(known, path)
    objects = objects_at(known, parent)
    looked = objects + _strange(known, parent, "object")
    present = min(objects, known.fields[path].present.count)
    name = way[-1]
    if looked < FEWEST_RECORDS or present < NEARLY_ALL * looked or name is None:
        return None
    return Needed(path, way[:-1], name, looked - present, looked)


def _strange(known: Profile, path: str, kind: str) -> int:
    """How many values there are at a path, or on the way, that are neither what is in it nor null."""
    if path == ROOT:
        return 0
    strange = sum(tally.count for name, tally in known.fields[path].types.items() if name not in {"null", kind})
    above = path[:-2] if path.endswith("[]") else _parent(known, path)
    return strange + _strange(known, above, "array" if path.endswith("[]") else "object")


def way_of(known: Profile, path: str) -> Way:
    """Where a path of a profile leads; a name may have dots in it."""
    if path.endswith("[]"):
        return (*way_of(known, path[:-2]), None)
    parent = _parent(known, path)
    return (path,) if parent == ROOT else (*way_of(known, parent), path[len(parent) + 1 :])


def _parent(known: Profile, path: str) -> str:
    """The object that a field stands in; a name may have a dot in it."""
    parent = parent_of(path)
    return parent if parent in known.fields else ROOT


def _above(path: str) -> Iterator[str]:
    while path := parent_of(path):
        yield path
