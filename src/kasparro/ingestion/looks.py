"""What a mapping's target looks up and how it is read: in one payload, and in many at once with the same results."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kasparro.ingestion.paths import Look, look_by
from kasparro.ingestion.source import Payload
from kasparro.schemas.readings import Reading, as_text

_TEXTS: Final = frozenset((str, type(None)))


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
        is_text = set(map(type, values)) <= _TEXTS and (reading is None or reading is as_text)
        return _without(values, nulls) if is_text else list(map(read, values))

    return Look(lambda payload: read(found.one(payload)), many)


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
