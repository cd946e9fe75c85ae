"""What names a record: the text of its key column, or of the value at its key path, or of several of them.

One part: its text. Several: joined by `|`, with `\\` and `|` inside a part escaped by a backslash. None: the hex of the
payload's content hash.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.core.canonical import content_hash
from kasparro.ingestion.columns.payloads import member_at
from kasparro.ingestion.columns.reading import null_texts
from kasparro.ingestion.paths import Getter, Look, compile_path
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.schemas.readings import Defective, as_text

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

KEY_SEPARATOR: Final = "|"
KeyOf = Callable[[Payload], str]
"""The function that names a record. Raises RecordRejected with one defect for each part without a value."""
KeyColumn = Callable[[Sequence[Payload]], Any]
"""The names of many records, as texts or as an array of text. Raises RecordRejected as soon as one has none."""


def hash_key(payload: Payload) -> str:
    """The name of a record that has no key."""
    return content_hash(payload).hex()


def column_key(columns: tuple[str, ...], nulls: frozenset[str]) -> KeyOf:
    """For rows of text; `nulls` are texts that mean that there is no value."""
    if len(columns) == 1:
        return _single_key(columns[0], nulls)

    def key_of(payload: Payload) -> str:
        try:
            parts = [payload[column] for column in columns]
            joined = KEY_SEPARATOR.join(parts)
        except (KeyError, TypeError):
            raise RecordRejected(*_key_defects(payload, columns, nulls)) from None
        if not nulls.isdisjoint(parts) or not all(map(str.strip, parts)):
            raise RecordRejected(*_key_defects(payload, columns, nulls))
        return _joined(parts, joined)

    return key_of


def path_key(paths: tuple[str, ...], nulls: frozenset[str]) -> KeyOf:
    """For JSON: a number or truth value is named by its JSON text; null, a list and an object name nothing."""
    getters = [(path, compile_path(path)) for path in paths]

    def key_of(payload: Payload) -> str:
        parts, defects = list[str](), list[Defect]()
        for path, getter in getters:
            part = _part(path, getter, payload, nulls)
            if isinstance(part, Defect):
                defects.append(part)
            else:
                parts.append(part)
        if defects:
            raise RecordRejected(*defects)
        return parts[0] if len(parts) == 1 else _joined(parts, KEY_SEPARATOR.join(parts))

    return key_of


def key_column(part: Look, key_of: KeyOf, nulls: frozenset[str]) -> KeyColumn:
    """For keys of the one `part` that `key_of` takes: those that are text or integers are named at once."""
    no_values = null_texts(nulls)

    def keys(payloads: Sequence[Payload]) -> Any:
        known = member_at(payloads, part.path)
        if known is not None and known.kind in (int, str) and _all_name(known.texts, no_values):
            return known.texts
        try:
            values = part.many(payloads)
        except KeyError:  # a column that is missing
            return list(map(key_of, payloads))
        kinds = set(map(type, values))
        texts = list(map(str, values)) if kinds == {int} else values
        plain = kinds in ({int}, {str}) and nulls.isdisjoint(texts) and all(map(str.strip, texts))
        return texts if plain else list(map(key_of, payloads))

    return keys


def _all_name(texts: pa.Array | None, no_values: pa.Array) -> bool:
    """Whether each text names something, as far as that is seen at once."""
    if texts is None or texts.null_count:
        return False
    named = pc.and_not(pc.match_substring_regex(texts, "[0-9A-Za-z]"), pc.is_in(texts, no_values))
    return pc.all(named, min_count=0).as_py()


def _single_key(column: str, nulls: frozenset[str]) -> KeyOf:
    def key_of(payload: Payload) -> str:
        part = payload.get(column)
        if not isinstance(part, str) or part in nulls or not part.strip():
            raise RecordRejected(*_key_defects(payload, (column,), nulls))
        return part

    return key_of


def _joined(parts: list[str], joined: str) -> str:
    if "\\" in joined or joined.count(KEY_SEPARATOR) >= len(parts):
        return KEY_SEPARATOR.join(map(_escaped, parts))
    return joined


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace(KEY_SEPARATOR, "\\" + KEY_SEPARATOR)


def _key_defects(payload: Payload, columns: tuple[str, ...], nulls: frozenset[str]) -> list[Defect]:
    defects: list[Defect] = []
    for column in columns:
        part = payload.get(column)
        if column not in payload:
            defects.append(Defect("key_missing", f'there is no column "{column}", which is part of the key', column))
        elif not isinstance(part, str) or part in nulls or not part.strip():
            defects.append(Defect("key_missing", f'column "{column}", which is part of the key, has no value', column))
    return defects


def _part(path: str, getter: Getter, payload: Payload, nulls: frozenset[str]) -> str | Defect:
    try:
        value: Any = getter(payload)
        text = None if value is None else as_text(value)
    except Defective as defective:
        return Defect("key_missing", f"{path}, which is part of the key: {defective.message}", path)
    if text is None or text in nulls or not text.strip():
        return Defect("key_missing", f"{path}, which is part of the key, has no value", path)
    return text
