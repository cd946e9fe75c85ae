"""What a mapping's target looks up and how it is read: in one payload, and in many at once with the same results.

Of payloads that are known as columns, what is looked up are Arrow arrays (of text), or columns that are judged already.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.json_text import Pieces, joined, member, text_pieces, unless_empty
from kasparro.ingestion.columns.payloads import Member, member_at
from kasparro.ingestion.columns.reading import Column, null_texts, read_time, without_nulls
from kasparro.ingestion.paths import Getter, Look, look_by
from kasparro.ingestion.source import Payload
from kasparro.schemas.readings import Reading, as_text

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

_TEXTS: Final = frozenset((str, type(None)))
_NO_TEXTS: Final = frozenset((bool, int, Decimal, dict, list, type(None)))


def column_look(column: str, reading: Reading | None, nulls: frozenset[str]) -> Look:
    """A column of rows of text. Raises KeyError where it is missing."""

    def text(payload: Payload) -> Any:
        value = payload[column]
        return None if value in nulls else value

    def read(payload: Payload) -> Any:
        value = text(payload)
        return None if value is None or reading is None else reading(value)

    if reading is None or reading is as_text:
        return Look(text, lambda payloads: _without([payload[column] for payload in payloads], nulls))
    return look_by(read)


def found_look(found: Look, reading: Reading | None, nulls: frozenset[str]) -> Look:
    """What is found in JSON, read by `reading`."""
    no_values = null_texts(nulls)

    def read(value: Any) -> Any:
        if value is None or (isinstance(value, str) and value in nulls):
            return None
        return value if reading is None else reading(value)

    def many(payloads: Sequence[Payload]) -> Any:
        texts = _present_texts(member_at(payloads, found.path), no_values) if reading is as_text else None
        if texts is not None:
            return texts
        values = found.many(payloads)
        kinds = set(map(type, values))
        if kinds <= _TEXTS and (reading is None or reading is as_text):
            return _without(values, nulls)
        return values if reading is None and kinds <= _NO_TEXTS else list(map(read, values))

    return Look(lambda payload: read(found.one(payload)), many, found.path)


def number_look(found: Look, reading: Reading, nulls: frozenset[str]) -> Look:
    """An exact decimal in JSON, read by `reading`."""
    each = found_look(found, reading, nulls)

    def many(payloads: Sequence[Payload]) -> Any:
        known = member_at(payloads, found.path)
        if known is not None and known.texts is not None and known.kind in (int, Decimal):
            return Column(known.texts, known.canonical)
        return each.many(payloads)

    return Look(each.one, many, found.path)


def time_look(found: Look, reading: Reading, nulls: frozenset[str], *, naive_is_utc: bool) -> Look:
    """A time in JSON, read by `reading`."""
    each, no_values = found_look(found, reading, nulls), null_texts(nulls)

    def texts(payloads: Sequence[Payload]) -> pa.Array | None:
        known = member_at(payloads, found.path)
        if known is not None and known.kind is str:
            return _present_texts(known, no_values)
        values = found.many(payloads)
        return pa.array(_without(values, nulls), pa.string()) if set(map(type, values)) <= _TEXTS else None

    def many(payloads: Sequence[Payload]) -> Any:
        cells = texts(payloads)
        if cells is not None:
            column = read_time(pc.replace_substring(cells, "+00:00", "Z"), naive_is_utc=naive_is_utc)
            if column.good is None or pc.all(column.good, min_count=0).as_py():
                return column
        return each.many(payloads)

    return Look(each.one, many, found.path)


def tags_look(found: Look, tags: Getter, nulls: frozenset[str]) -> Look:
    """Tags that stand in one list, as `tags` gives them."""
    no_values = null_texts(nulls)

    def many(payloads: Sequence[Payload]) -> Any:
        known = member_at(payloads, found.path)
        if known is not None and known.lists is not None and _are_tags(known.lists.values, no_values):
            return _tags_column(known, known.lists)
        values = found.many(payloads)
        if set(map(type, values)) == {list}:
            flat = list(chain.from_iterable(values))
            if set(map(type, flat)) <= {str} and nulls.isdisjoint(flat):
                return [value or None for value in values]
        return list(map(tags, payloads))

    return Look(tags, many)


def dictionaries(looks: Mapping[str, Look], nulls: frozenset[str]) -> Look:
    """What is found, by name, without what has no value."""
    no_values = null_texts(nulls)

    def one(payload: Payload) -> dict[str, Any]:
        return {name: value for name, look in looks.items() if (value := look.one(payload)) is not None}

    def many(payloads: Sequence[Payload]) -> Any:
        known = {name: member_at(payloads, look.path) for name, look in sorted(looks.items())}
        column = _objects_column(known, no_values) if known else None
        if column is not None:
            return column
        if not looks:
            return [{} for _ in payloads]
        columns = [look.many(payloads) for look in looks.values()]
        rows = zip(*columns, strict=True)
        if not any(type(None) in set(map(type, column)) for column in columns):
            return [dict(zip(looks, row, strict=True)) for row in rows]
        return [{name: value for name, value in zip(looks, row, strict=True) if value is not None} for row in rows]

    return Look(one, many)


def _present_texts(known: Member | None, no_values: pa.Array) -> pa.Array | None:
    """The texts of what is known, null where one means that there is no value; None where there are none."""
    if known is None or known.texts is None or known.kind is not str:
        return None if known is None else known.texts
    return without_nulls(known.texts, no_values)


def _are_tags(texts: pa.Array, no_values: pa.Array) -> bool:
    """Whether all are in NFC, as far as that is seen at once, and have a value."""
    plain = pc.and_not(pc.string_is_ascii(texts), pc.is_in(texts, no_values))
    return pc.all(plain, min_count=0).as_py()


def _tags_column(known: Member, lists: pa.ListArray) -> Column:
    empty = pc.equal(pc.list_value_length(lists), 0)
    if not empty.true_count:
        return Column(lists, known.exact)
    canonical = pc.if_else(empty, pa.scalar(None, pa.string()), joined(known.exact))
    return Column(pc.if_else(empty, pa.scalar(None, lists.type), lists), (canonical,))


def _objects_column(known: Mapping[str, Member | None], no_values: pa.Array) -> Column | None:
    """Objects with these members, as JSON, null where one is empty; None where some are not known well enough."""
    exact: list[Pieces] = []
    canonical: list[Pieces] = []
    for name, found in known.items():
        texts = _present_texts(found, no_values)
        if found is None or (texts is None and found.lists is None):
            return None
        value = text_pieces(texts) if texts is not None and found.kind is str else found.exact
        exact.append(member(name, value))
        canonical.append(exact[-1] if found.canonical is found.exact else member(name, found.canonical))
    stored = unless_empty(exact, "{", "}")
    differ = any(one is not other for one, other in zip(exact, canonical, strict=True))
    return Column(stored, (unless_empty(canonical, "{", "}") if differ else stored,))


def _without(values: list[Any], nulls: frozenset[str]) -> list[Any]:
    """Texts, None where one means that there is no value."""
    return values if nulls.isdisjoint(values) else [None if value in nulls else value for value in values]
