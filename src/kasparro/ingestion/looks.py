"""What a mapping's target looks up and how it is read: in one payload, and in many at once with the same results."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.reading import read_time
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

    def read(value: Any) -> Any:
        if value is None or (isinstance(value, str) and value in nulls):
            return None
        return value if reading is None else reading(value)

    def many(payloads: Sequence[Payload]) -> list[Any]:
        values = found.many(payloads)
        kinds = set(map(type, values))
        if kinds <= _TEXTS and (reading is None or reading is as_text):
            return _without(values, nulls)
        return values if reading is None and kinds <= _NO_TEXTS else list(map(read, values))

    return Look(lambda payload: read(found.one(payload)), many)


def time_look(found: Look, reading: Reading, nulls: frozenset[str], *, naive_is_utc: bool) -> Look:
    """A time in JSON, read by `reading`; where many are plainly written, as an Arrow array."""
    one = found_look(found, reading, nulls)

    def many(payloads: Sequence[Payload]) -> Any:
        values = found.many(payloads)
        if set(map(type, values)) <= _TEXTS:
            cells = pc.replace_substring(pa.array(_without(values, nulls), pa.string()), "+00:00", "Z")
            column = read_time(cells, naive_is_utc=naive_is_utc)
            if column.good is None or pc.all(column.good, min_count=0).as_py():
                return column.values
        return one.many(payloads)

    return Look(one.one, many)


def tags_look(found: Look, tags: Getter, nulls: frozenset[str]) -> Look:
    """Tags that stand in one list, as `tags` gives them."""

    def many(payloads: Sequence[Payload]) -> list[Any]:
        values = found.many(payloads)
        if set(map(type, values)) == {list}:
            flat = list(chain.from_iterable(values))
            if set(map(type, flat)) <= {str} and nulls.isdisjoint(flat):
                return [value or None for value in values]
        return list(map(tags, payloads))

    return Look(tags, many)


def dictionaries(looks: Mapping[str, Look]) -> Look:
    """What is found, by name, without what has no value."""

    def one(payload: Payload) -> dict[str, Any]:
        return {name: value for name, look in looks.items() if (value := look.one(payload)) is not None}

    def many(payloads: Sequence[Payload]) -> list[dict[str, Any]]:
        if not looks:
            return [{} for _ in payloads]
        columns = [look.many(payloads) for look in looks.values()]
        rows = zip(*columns, strict=True)
        if not any(type(None) in set(map(type, column)) for column in columns):
            return [dict(zip(looks, row, strict=True)) for row in rows]
        return [{name: value for name, value in zip(looks, row, strict=True) if value is not None} for row in rows]

    return Look(one, many)


def _without(values: list[Any], nulls: frozenset[str]) -> list[Any]:
    """Texts, None where one means that there is no value."""
    return values if nulls.isdisjoint(values) else [None if value in nulls else value for value in values]
