"""A source's `map:` and `key:` compiled to one function from payload to candidate fields of a unified record.

Plain names are direct look-ups; expressions are JMESPath. Whatever cannot be read becomes a Defect that names the
field and shows the text; nothing is guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from kasparro.core.canonical import content_hash
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.schemas.configuration import ConstantTarget, CsvSourceConfig, ExpressionTarget, Target
from kasparro.schemas.configuration.expressions import compile_expression, evaluate
from kasparro.schemas.readings import Defective, Reading, as_text, decimal_reading, shown, time_reading

Getter = Callable[[Payload], Any]
"""One field's value, None where there is none. Raises KeyError for a missing column, or Defective."""
Normalize = Callable[[Payload], dict[str, object]]
KEY_SEPARATOR: Final = "|"
_TEXT_FIELDS: Final = ("title", "body", "url", "author", "category", "unit", "entity_key")


def compile_mapping(source: CsvSourceConfig) -> Normalize:
    """The function that normalizes payloads of this source. It is pure, and raises RecordRejected with every defect."""
    key_of = compile_key(source)
    getters = _field_getters(source)
    parts = [(name, getter) for name, getter in getters if name != "attributes"] + _attribute_getters(source)

    def normalize(payload: Payload) -> dict[str, object]:
        try:
            fields: dict[str, object] = {"record_key": key_of(payload)}
            for name, getter in getters:
                value = getter(payload)
                if value is not None:
                    fields[name] = value
        except (KeyError, Defective, RecordRejected):
            raise RecordRejected(*_all_defects(payload, key_of, parts)) from None
        return fields

    return normalize


def compile_key(source: CsvSourceConfig) -> Callable[[Payload], str]:
    """The function that names a record. Raises RecordRejected with one defect for each part without a value.

    One column: its text. Several: joined by `|`, with `\\` and `|` inside a part escaped by a backslash. None: the hex
    of the payload's content hash.
    """
    if source.key is None:
        return lambda payload: content_hash(payload).hex()
    columns, nulls = source.key, frozenset(source.null_values)
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
        if "\\" in joined or joined.count(KEY_SEPARATOR) >= len(columns):
            return KEY_SEPARATOR.join(map(_escaped, parts))
        return joined

    return key_of


def _single_key(column: str, nulls: frozenset[str]) -> Callable[[Payload], str]:
    def key_of(payload: Payload) -> str:
        part = payload.get(column)
        if not isinstance(part, str) or part in nulls or not part.strip():
            raise RecordRejected(*_key_defects(payload, (column,), nulls))
        return part

    return key_of


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


def _all_defects(payload: Payload, key_of: Callable[[Payload], str], parts: list[tuple[str, Getter]]) -> list[Defect]:
    """Everything that is wrong with a payload, for one that is known to have a defect."""
    defects: list[Defect] = []
    try:
        key_of(payload)
    except RecordRejected as rejected:
        defects.extend(rejected.defects)
    for name, getter in parts:
        try:
            getter(payload)
        except KeyError as missing:
            defects.append(Defect("missing_field", f'there is no column "{missing.args[0]}"', name))
        except Defective as defective:
            defects.append(Defect(defective.code, defective.message, name))
        except RecordRejected as rejected:
            defects.extend(rejected.defects)
    return defects


def _field_getters(source: CsvSourceConfig) -> list[tuple[str, Getter]]:
    mapped, nulls = source.map, frozenset(source.null_values)
    readings: dict[str, Reading] = dict.fromkeys(_TEXT_FIELDS, as_text)
    readings |= {"value": decimal_reading(nulls), "occurred_at": time_reading(source.timezone, nulls)}
    getters: list[tuple[str, Getter]] = []
    for name, reading in readings.items():
        target: Target | None = getattr(mapped, name)
        if target is not None:
            getters.append((name, _getter(target, reading, nulls)))
    if mapped.tags is not None:
        getters.append(("tags", _tags_getter(mapped.tags, nulls)))
    if mapped.attributes == "*":
        getters.append(("attributes", _all_attributes(frozenset(_mapped_columns(source)), nulls)))
    elif mapped.attributes is not None:
        getters.append(("attributes", _attributes_getter(mapped.attributes, nulls)))
    return getters


def _attribute_getters(source: CsvSourceConfig) -> list[tuple[str, Getter]]:
    """Each attribute as a field of its own, so that all that are at fault can be named."""
    attributes, nulls = source.map.attributes, frozenset(source.null_values)
    targets = attributes if isinstance(attributes, dict) else {}
    return [(f"attributes.{name}", _getter(target, None, nulls)) for name, target in targets.items()]


def _getter(target: Target, reading: Reading | None, nulls: frozenset[str]) -> Getter:
    """What a target gives, read by `reading`; None as it is where that is no reading."""
    if isinstance(target, ConstantTarget):
        constant = target.value if reading is None else reading(target.value)
        return lambda _: constant
    if isinstance(target, ExpressionTarget):
        return _expression_getter(target.expr, reading, nulls)
    return _column_getter(target, reading, nulls)


def _column_getter(column: str, reading: Reading | None, nulls: frozenset[str]) -> Getter:
    if reading is None or reading is as_text:

        def text(payload: Payload) -> Any:
            value = payload[column]
            return None if value in nulls else value

        return text

    def read(payload: Payload) -> Any:
        value = payload[column]
        return None if value is None or value in nulls else reading(value)

    return read


def _expression_getter(expression: str, reading: Reading | None, nulls: frozenset[str]) -> Getter:
    search = compile_search(expression)

    def read(payload: Payload) -> Any:
        value = search(payload)
        if value is None or (isinstance(value, str) and value in nulls):
            return None
        return value if reading is None else reading(value)

    return read


def compile_search(expression: str) -> Getter:
    """The function that gives an expression's result over a payload. Raises Defective where it cannot be evaluated."""
    compiled = compile_expression(expression)

    def search(payload: Payload) -> Any:
        try:
            return evaluate(compiled, payload)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise Defective("expression_failed", f"{shown(expression)}: {shown(reason)}") from None

    return search


def _tags_getter(target: Target | tuple[Target, ...], nulls: frozenset[str]) -> Getter:
    targets = target if isinstance(target, tuple) else (target,)
    getters = [_getter(each, None, nulls) for each in targets]

    def tags(payload: Payload) -> list[str] | None:
        found: list[str] = []
        for getter in getters:
            value: Any = getter(payload)
            items = cast("list[Any]", value) if isinstance(value, list) else [value]
            found.extend(text for item in items if item is not None and (text := as_text(item)) not in nulls)
        return found or None

    return tags


def _attributes_getter(targets: Mapping[str, Target], nulls: frozenset[str]) -> Getter:
    if all(isinstance(target, str) for target in targets.values()):
        return _column_attributes([(name, str(target)) for name, target in targets.items()], nulls)
    getters = [(name, _getter(target, None, nulls)) for name, target in targets.items()]

    def attributes(payload: Payload) -> dict[str, Any]:
        return {name: value for name, getter in getters if (value := getter(payload)) is not None}

    return attributes


def _column_attributes(pairs: list[tuple[str, str]], nulls: frozenset[str]) -> Getter:
    def attributes(payload: Payload) -> dict[str, Any]:
        return {name: value for name, column in pairs if (value := payload[column]) not in nulls and value is not None}

    return attributes


def _all_attributes(mapped: frozenset[str], nulls: frozenset[str]) -> Getter:
    def attributes(payload: Payload) -> dict[str, Any]:
        return {
            name: value
            for name, value in payload.items()
            if name not in mapped and value is not None and value not in nulls
        }

    return attributes


def named_columns(source: CsvSourceConfig) -> list[str]:
    """All columns that the key and the mapping take by name, in the order of the configuration's fields."""
    attributes = source.map.attributes
    targets = list(attributes.values()) if isinstance(attributes, dict) else []
    named = [*(source.key or ()), *_mapped_columns(source), *(target for target in targets if isinstance(target, str))]
    return list(dict.fromkeys(named))


def _mapped_columns(source: CsvSourceConfig) -> list[str]:
    """Columns that a target other than `attributes` takes by name."""
    targets: list[object] = [getattr(source.map, name) for name in (*_TEXT_FIELDS, "value", "occurred_at")]
    tags = source.map.tags
    targets.extend(tags if isinstance(tags, tuple) else (tags,))
    return [target for target in targets if isinstance(target, str)]
