"""Which fields of a payload a JMESPath expression reads, named as drift's profiles name them (`tags[]`, `prices.*`)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from kasparro.ingestion.drift.from_payloads import member_path
from kasparro.ingestion.drift.profile import ROOT
from kasparro.schemas.configuration.expressions import compile_expression

_SAME: Final = frozenset(("sort", "reverse", "to_array", "sort_by"))
"""Functions that give their first argument, or a list of what is in it."""
_ONE_OF: Final = frozenset(("max", "min", "max_by", "min_by"))
"""Functions that give an element of their first argument."""


@dataclass(frozen=True, slots=True)
class Reads:
    """`paths` are all fields that are read. Of each of `needs`, a record must have one: more than one are alternatives,
    and where a constant stands in, none is needed.
    """

    paths: frozenset[str] = frozenset()
    needs: tuple[frozenset[str], ...] = ()


def reads_of(expression: str) -> Reads:
    """What an expression reads of a payload; it compiles."""
    walk = _Walk()
    walk.take(walk.visit(compile_expression(expression).parsed, _Value((ROOT,))))
    return walk.reads()


def reads_column(name: str) -> Reads:
    """What a column's name, or that of a member of the payload, reads."""
    path = member_path(ROOT, name)
    return Reads(frozenset((path,)), (frozenset((path,)),))


@dataclass(frozen=True, slots=True)
class _Value:
    """Where a value stands in the payload: at one of `places`, or it is a list of what stands at `elements`.

    `is_free` says that nothing of this is needed: it was told of before, or a constant stands in.
    """

    places: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    is_free: bool = False

    @property
    def paths(self) -> frozenset[str]:
        return frozenset((*self.places, *self.elements)) - {ROOT}

    def each(self) -> "_Value":
        """Its elements, one by one."""
        return _Value((*(f"{place}[]" for place in self.places if place), *self.elements), (), self.is_free)

    def as_list(self) -> "_Value":
        """A list of this."""
        return _Value((), (*self.places, *self.elements), self.is_free)

    def member(self, name: str) -> "_Value":
        return _Value(tuple(member_path(place, name) for place in self.places), (), self.is_free)


@dataclass(slots=True)
class _Walk:
    """Visits a parsed expression, and notes what of the payload it takes."""

    paths: set[str] = field(default_factory=set[str])
    needs: list[frozenset[str]] = field(default_factory=list[frozenset[str]])

    def reads(self) -> Reads:
        return Reads(frozenset(self.paths), tuple(dict.fromkeys(self.needs)))

    def take(self, value: _Value) -> None:
        """Note that the value is used."""
        self.paths |= value.paths
        if value.paths and not value.is_free:
            self.needs.append(value.paths)

    def visit(self, node: Any, current: _Value) -> _Value:
        visitors: dict[str, Callable[[Any, _Value], _Value]] = {
            "field": self._member,
            "current": self._current,
            "identity": self._current,
            "index": self._index,
            "slice": self._slice,
            "literal": self._literal,
            "subexpression": self._chain,
            "index_expression": self._chain,
            "pipe": self._chain,
            "projection": self._projection,
            "filter_projection": self._projection,
            "value_projection": partial(self._projection, is_of_values=True),
            "flatten": self._flatten,
            "or_expression": self._either,
            "and_expression": self._both,
            "function_expression": self._function,
        }
        return visitors.get(node["type"], self._take_all)(node, current)

    def _member(self, node: Any, current: _Value) -> _Value:
        return current.member(str(node["value"]))

    def _current(self, _: Any, current: _Value) -> _Value:
        return current

    def _index(self, _: Any, current: _Value) -> _Value:
        return current.each()

    def _slice(self, _: Any, current: _Value) -> _Value:
        return current.each().as_list()

    def _literal(self, _: Any, __: _Value) -> _Value:
        return _Value()

    def _chain(self, node: Any, current: _Value) -> _Value:
        for child in node["children"]:
            current = self.visit(child, current)
        return current

    def _projection(self, node: Any, current: _Value, *, is_of_values: bool = False) -> _Value:
        left, right, *conditions = node["children"]
        found = self.visit(left, current)
        each = found.member("*") if is_of_values else found.each()
        for condition in conditions:
            self.take(self.visit(condition, each))
        return self.visit(right, each).as_list()

    def _flatten(self, node: Any, current: _Value) -> _Value:
        return self.visit(node["children"][0], current).each().as_list()

    def _both(self, node: Any, current: _Value) -> _Value:
        left, right = node["children"]
        self.take(self.visit(left, current))
        return self.visit(right, current)

    def _either(self, node: Any, current: _Value) -> _Value:
        """One of its children: those that read nothing are constants, and what reads only paths stays open."""
        values: list[_Value] = []
        parts: list[_Walk] = []
        for child in node["children"]:
            parts.append(_Walk())
            values.append(parts[-1].visit(child, current))
        places = tuple(dict.fromkeys(place for value in values for place in value.places))
        elements = tuple(dict.fromkeys(place for value in values for place in value.elements))
        needed = [_needed(part, value) for part, value in zip(parts, values, strict=True)]
        self.paths |= {path for part in parts for path in part.paths}
        if all(needed) and not any(part.paths for part in parts):
            return _Value(places, elements)
        if all(needed):
            self.needs.append(_union(needed))
        return _Value(places, elements, is_free=True)

    def _function(self, node: Any, current: _Value) -> _Value:
        name, children = str(node["value"]), node["children"]
        if name == "not_null":
            return self._either(node, current)
        values = [self.visit(child, current) for child in children if child["type"] != "expref"]
        each = values[0].each() if values else _Value()
        of_each = [self.visit(child["children"][0], each) for child in children if child["type"] == "expref"]
        for value in (*values, *of_each) if name not in _SAME | _ONE_OF else of_each:
            self.take(value)
        return values[0] if name in _SAME and values else each if name in _ONE_OF else _Value()

    def _take_all(self, node: Any, current: _Value) -> _Value:
        """A comparison, a negation, a list or an object that is made: what it gives stands nowhere in the payload."""
        for child in node["children"]:
            self.take(self.visit(child, current))
        return _Value()


def _needed(part: _Walk, value: _Value) -> frozenset[str]:
    """Everything that one alternative needs; empty where it can do without."""
    return _union([*part.needs, frozenset() if value.is_free else value.paths])


def _union(sets: Sequence[Iterable[str]]) -> frozenset[str]:
    return frozenset(path for each in sets for path in each)
