"""The fields of many unified records, judged as columns: what is plainly as the model wants it is taken as it is.

Where a column holds anything else, Pydantic judges it value by value; what it refuses is in doubt.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import chain, islice
from typing import Any, Final, cast, get_type_hints

import pyarrow as pa
import pyarrow.compute
from pydantic import TypeAdapter, ValidationError

from kasparro.core.canonical import UnstorableError, payload_json
from kasparro.core.json_columns import encode_numbers, encode_objects
from kasparro.ingestion.columns.reading import Column, canonical_times, read_key, read_text
from kasparro.schemas.batches import STAGE_SCHEMA
from kasparro.schemas.unified import MAX_KEY_BYTES, UnifiedRecord

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

Doubts = set[int]
"""Positions of records that must be judged alone."""
_Texts = list[str | None]
_KEYS: Final = ("record_key", "entity_key")
_quote = json.encoder.encode_basestring


class _OddError(Exception):
    """Something that only Pydantic can judge."""


def read_field(name: str, values: Sequence[Any] | pa.Array | Column, doubts: Doubts) -> Column:
    """The values of a target field, or of `record_key`; where one is in doubt stands anything.

    An array holds texts that JSON leaves as they are.
    """
    if isinstance(values, pa.Array):
        values = read_key(values) if name in _KEYS else read_text(values)
    if not isinstance(values, Column):
        return _read_values(name, values, doubts)
    if values.good is not None and not pc.all(values.good, min_count=0).as_py():
        doubts.update(pc.indices_nonzero(pc.invert(values.good)).to_pylist())
    return values


def _read_values(name: str, values: Sequence[Any], doubts: Doubts) -> Column:
    kind = _KINDS.get(name) or (_key if name in _KEYS else _text)
    present = _present(values)
    try:
        prepared = kind.prepare(present) if present else []
        stored, canonical = kind.write(prepared)
    except (_OddError, UnstorableError, UnicodeEncodeError):
        values = _judged(name, values, doubts)
        stored, canonical = kind.write(_present(values))
    if name == "record_key" and len(stored) < len(values):
        doubts.update(place for place, value in enumerate(values) if value is None)
    canonical_texts = pa.array(_spread(canonical, values), pa.string())
    return Column(pa.array(_spread(stored, values), STAGE_SCHEMA.field(name).type), (canonical_texts,))


def _present(values: Sequence[Any]) -> list[Any]:
    return list(values) if type(None) not in set(map(type, values)) else [item for item in values if item is not None]


def _spread(present: list[Any], values: Sequence[Any]) -> list[Any]:
    """What stands for each present value, None for the others."""
    if len(present) == len(values):
        return present
    following = iter(present)
    return [None if value is None else next(following) for value in values]


def _judged(name: str, values: Sequence[Any], doubts: Doubts) -> list[Any]:
    """Each value as the model gives it; None, and in doubt, what it refuses."""
    judged: list[Any] = []
    for place, value in enumerate(values):
        try:
            judged.append(None if value is None else _model(name).validate_python(value))
            if name == "attributes" and value is not None:
                payload_json(value)
        except (ValidationError, UnstorableError):
            doubts.add(place)
            judged[place:] = [None]
    return judged


@cache
def _model(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(UnifiedRecord, include_extras=True)[name])


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a field's present values are taken without Pydantic, or refused by _OddError; and how good ones are written:
    as they are stored, and as they stand in the record's hash.
    """

    prepare: Callable[[list[Any]], list[Any]]
    write: Callable[[list[Any]], tuple[list[Any], _Texts]]


def _all_are(values: list[Any], kind: type) -> None:
    if set(map(type, values)) != {kind}:
        raise _OddError


def _prepared_text(values: list[Any]) -> list[Any]:
    """NFC. Raises _OddError, or UnicodeEncodeError."""
    _all_are(values, str)
    joined = "".join(values)
    if "\x00" in joined:
        raise _OddError
    if joined.isascii():
        return values
    joined.encode()
    return [value if value.isascii() else unicodedata.normalize("NFC", value) for value in values]


def _prepared_key(values: list[Any]) -> list[Any]:
    texts = _prepared_text(values)
    if not min(map(len, texts)) or max(map(len, texts)) > MAX_KEY_BYTES // 4:
        raise _OddError
    return texts


def _prepared_value(values: list[Any]) -> list[Any]:
    _all_are(values, Decimal)
    return values


def _prepared_time(values: list[Any]) -> list[Any]:
    _all_are(values, datetime)
    if any(value.tzinfo is not UTC for value in values):
        raise _OddError
    return values


def _prepared_tags(values: list[Any]) -> list[Any]:
    _all_are(values, list)
    flat = list(chain.from_iterable(values))
    texts = _prepared_text(flat) if flat else flat
    if texts is flat:
        return values
    following = iter(texts)
    return [list(islice(following, len(value))) for value in values]


def _prepared_attributes(values: list[Any]) -> list[Any]:
    _all_are(values, dict)
    return values


def _written_text(values: list[Any]) -> tuple[list[Any], _Texts]:
    return values, list(map(_quote, values))


def _written_value(values: list[Any]) -> tuple[list[Any], _Texts]:
    stored, canonical = encode_numbers(values)
    return stored, [*canonical]


def _written_time(values: list[Any]) -> tuple[list[Any], _Texts]:
    return values, canonical_times(pa.array(values, STAGE_SCHEMA.field("occurred_at").type)).to_pylist()


def _written_tags(values: list[Any]) -> tuple[list[Any], _Texts]:
    canonical = ["[" + ",".join(map(_quote, value)) + "]" if value else None for value in values]
    return [value or None for value in values], canonical


def _written_attributes(values: list[Any]) -> tuple[list[Any], _Texts]:
    texts = encode_objects(values)
    if None in texts.exact:
        raise UnstorableError("attributes")
    stored = [None if text == "{}" else text for text in texts.exact]
    if texts.canonical is texts.exact:
        return stored, stored
    return stored, [None if text == "{}" else text for text in texts.canonical]


_text: Final = _Kind(_prepared_text, _written_text)
_key: Final = _Kind(_prepared_key, _written_text)
_KINDS: Final = {
    "value": _Kind(_prepared_value, _written_value),
    "occurred_at": _Kind(_prepared_time, _written_time),
    "tags": _Kind(_prepared_tags, _written_tags),
    "attributes": _Kind(_prepared_attributes, _written_attributes),
}
