"""Sorting and keyset paging: the order of a query, and what lies behind a position in it.

Missing values come last in both directions, and id breaks ties, in the direction of the last key. PostgreSQL's indexes
have nulls first when they are read backwards, so what sorts by a column with nulls is asked for in two parts: those
with a value, then those without. (https://www.postgresql.org/docs/current/indexes-ordering.html)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kasparro.services.data.columns import Column, Field
from kasparro.services.data.conditions import SQL_TYPES, attribute_number, attribute_text
from kasparro.services.data.query import SortKey
from kasparro.services.data.statement import Parameters

SORTED_CHARACTERS: Final = 200
"""Of a long text, so many decide its place; the rest is a tie."""


@dataclass(frozen=True, slots=True)
class Key:
    """One expression of an `order by`."""

    sql: str
    type: str
    descending: bool = False
    nullable: bool = False

    @property
    def beyond(self) -> str:
        """The comparison that holds for what comes later."""
        return "<" if self.descending else ">"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows to be read in this order, before those of the next part; `condition` None is all of them."""

    condition: str | None
    order: str


def keys_of(sort: Sequence[SortKey], parameters: Parameters) -> list[Key]:
    """The expressions to sort by, id last."""
    keys = [key for item in sort for key in _keys(item, parameters)]
    if not sort or sort[-1].field.name != "id":
        keys.append(Key("u.id", "bigint", bool(sort) and sort[-1].descending))
    return keys


def order_by(keys: Sequence[Key]) -> str:
    """The whole order."""
    return ", ".join(key.sql + _direction(key) for key in keys)


def parts_of(keys: Sequence[Key], position: Sequence[Any] | None, parameters: Parameters, *, skips: bool) -> list[Part]:
    """What to read, from a position on or (`skips` says whether with an offset) from the start."""
    first, rest = keys[0], keys[1:]
    present = [replace(first, nullable=False), *rest]
    missing = Part(f"{first.sql} is null", order_by(rest))
    if position is None:
        if skips or not (first.nullable and first.descending):
            return [Part(None, order_by(keys))]
        return [Part(f"{first.sql} is not null", order_by(present)), missing]
    marks = [_mark(key, value, parameters) for key, value in zip(keys, position, strict=True)]
    if marks[0] is None:
        return [Part(f"{first.sql} is null and {_behind(rest, marks[1:])}", order_by(rest))]
    behind = Part(_behind_first(present, marks), order_by(present))
    return [behind, missing] if first.nullable else [behind]


def _keys(item: SortKey, parameters: Parameters) -> list[Key]:
    column = item.field.column
    if column.kind == "attributes":
        return _attribute_keys(item.field, parameters, descending=item.descending)
    return [Key(_sorted_by(column), SQL_TYPES[column.kind], item.descending, column.nullable)]


def _attribute_keys(field: Field, parameters: Parameters, *, descending: bool) -> list[Key]:
    """What reads as a number by its value, then other texts."""
    path = parameters.add(list(field.path))
    text = f"left({attribute_text(path)}, {SORTED_CHARACTERS})"
    return [
        Key(attribute_number(path), "numeric", descending, nullable=True),
        Key(text, "text", descending, nullable=True),
    ]


def _sorted_by(column: Column) -> str:
    return f"left({column.sql}, {SORTED_CHARACTERS})" if column.long else column.sql


def _direction(key: Key) -> str:
    return (" desc nulls last" if key.nullable else " desc") if key.descending else ""


def _mark(key: Key, value: Any, parameters: Parameters) -> str | None:
    return None if value is None else f"{parameters.add(value)}::text::{key.type}"


def _behind_first(keys: Sequence[Key], marks: Sequence[str | None]) -> str:
    """What comes after the marks, where the first key is not null: in a form that an index can be searched by."""
    uniform = len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys)
    if uniform:
        columns = ", ".join(key.sql for key in keys)
        return f"({columns}) {keys[0].beyond} ({', '.join(map(str, marks))})"
    return f"({keys[0].sql} {keys[0].beyond}= {marks[0]} and {_behind(keys, marks)})"


def _behind(keys: Sequence[Key], marks: Sequence[str | None]) -> str:
    key, mark = keys[0], marks[0]
    if len(keys) == 1:
        return f"{key.sql} {key.beyond} {mark}"
    rest = _behind(keys[1:], marks[1:])
    if mark is None:
        return f"({key.sql} is null and {rest})"
    missing = f" or {key.sql} is null" if key.nullable else ""
    return f"({key.sql} {key.beyond} {mark}{missing} or ({key.sql} = {mark} and {rest}))"
