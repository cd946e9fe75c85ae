"""A source's `map:` compiled to one function from payload to candidate fields of a unified record.

Plain names are direct look-ups: of a column in CSV, of a member or path in JSON; expressions are JMESPath. Whatever
cannot be read becomes a Defect that names the field and shows the text; nothing is guessed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from kasparro.ingestion.keys import KeyOf, column_key, hash_key, path_key
from kasparro.ingestion.paths import Getter, compile_path, compile_search
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.schemas.configuration import (
    AnySourceConfig,
    ConstantTarget,
    CsvSourceConfig,
    ExpressionTarget,
    PathMap,
    RecordMap,
    RssSourceConfig,
    Target,
)
from kasparro.schemas.readings import Defective, Reading, as_text, decimal_reading, time_reading

Normalize = Callable[[Payload], dict[str, object]]
_TEXT_FIELDS: Final = ("title", "body", "url", "author", "category", "unit", "entity_key")


def compile_mapping(source: AnySourceConfig) -> Normalize:
    """The function that normalizes payloads of this source. It is pure, and raises RecordRejected with every defect."""
    key_of = compile_key(source)
    targets = _targets(source)
    getters = targets.fields()
    parts = [(name, getter) for name, getter in getters if name != "attributes"] + targets.each_attribute()

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

    return _over_defaults(normalize, source.timezone) if isinstance(source, RssSourceConfig) else normalize


def compile_key(source: AnySourceConfig) -> KeyOf:
    """The function that names a record of this source. Raises RecordRejected with a defect for each part it lacks."""
    nulls = frozenset(source.null_values)
    if isinstance(source, CsvSourceConfig):
        return hash_key if source.key is None else column_key(source.key, nulls)
    if source.key is not None:
        return path_key(source.key, nulls)
    from kasparro.ingestion.sources.rss.entry import KEY_FIELD

    return path_key((KEY_FIELD,), frozenset())


def _over_defaults(normalize: Normalize, zone_name: str) -> Normalize:
    """What a feed's entry says by itself, with what is mapped put over it; text of strangers is made harmless."""
    from kasparro.ingestion.sources.rss.fields import default_fields, safe_mapped

    return lambda payload: {**default_fields(payload, zone_name), **safe_mapped(payload, normalize(payload))}


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


@dataclass(frozen=True, slots=True)
class _Targets:
    """The targets of one source; `is_json` where a plain text is a path and no column."""

    map: RecordMap[str]
    nulls: frozenset[str]
    zone_name: str
    is_json: bool

    def fields(self) -> list[tuple[str, Getter]]:
        """Each mapped field with its getter."""
        mapped, nulls = self.map, self.nulls
        readings: dict[str, Reading] = dict.fromkeys(_TEXT_FIELDS, as_text)
        readings |= {"value": decimal_reading(nulls), "occurred_at": time_reading(self.zone_name, nulls)}
        getters: list[tuple[str, Getter]] = []
        for name, reading in readings.items():
            target: Target[str] | None = getattr(mapped, name)
            if target is not None:
                getters.append((name, self.getter(target, reading)))
        if mapped.tags is not None:
            getters.append(("tags", self._tags(mapped.tags)))
        if mapped.attributes == "*":
            getters.append(("attributes", _all_attributes(frozenset(mapped_names(mapped)), nulls)))
        elif mapped.attributes is not None:
            getters.append(("attributes", self._attributes(mapped.attributes)))
        return getters

    def each_attribute(self) -> list[tuple[str, Getter]]:
        """Each attribute as a field of its own, so that all that are at fault can be named."""
        attributes = self.map.attributes
        targets = attributes if isinstance(attributes, dict) else {}
        return [(f"attributes.{name}", self.getter(target, None)) for name, target in targets.items()]

    def getter(self, target: Target[str], reading: Reading | None) -> Getter:
        """What a target gives, read by `reading`; None as it is where that is no reading."""
        if isinstance(target, ConstantTarget):
            constant = target.value if reading is None else reading(target.value)
            return lambda _: constant
        if isinstance(target, ExpressionTarget):
            return _found_getter(compile_search(target.expr), reading, self.nulls)
        if self.is_json:
            return _found_getter(compile_path(target), reading, self.nulls)
        return _column_getter(target, reading, self.nulls)

    def _tags(self, mapped: Target[str] | tuple[Target[str], ...]) -> Getter:
        targets = cast("tuple[Target[str], ...]", mapped if isinstance(mapped, tuple) else (mapped,))
        getters, nulls = [self.getter(each, None) for each in targets], self.nulls

        def tags(payload: Payload) -> list[str] | None:
            found: list[str] = []
            for getter in getters:
                value: Any = getter(payload)
                items = cast("list[Any]", value) if isinstance(value, list) else [value]
                found.extend(text for item in items if item is not None and (text := as_text(item)) not in nulls)
            return found or None

        return tags

    def _attributes(self, targets: Mapping[str, Target[str]]) -> Getter:
        if not self.is_json and all(isinstance(target, str) for target in targets.values()):
            return _column_attributes([(name, str(target)) for name, target in targets.items()], self.nulls)
        getters = [(name, self.getter(target, None)) for name, target in targets.items()]

        def attributes(payload: Payload) -> dict[str, Any]:
            return {name: value for name, getter in getters if (value := getter(payload)) is not None}

        return attributes


def _targets(source: AnySourceConfig) -> _Targets:
    mapped: RecordMap[str] = source.map or PathMap()
    return _Targets(mapped, frozenset(source.null_values), source.timezone, not isinstance(source, CsvSourceConfig))


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


def _found_getter(search: Getter, reading: Reading | None, nulls: frozenset[str]) -> Getter:
    def read(payload: Payload) -> Any:
        value = search(payload)
        if value is None or (isinstance(value, str) and value in nulls):
            return None
        return value if reading is None else reading(value)

    return read


def _column_attributes(pairs: list[tuple[str, str]], nulls: frozenset[str]) -> Getter:
    def attributes(payload: Payload) -> dict[str, Any]:
        return {name: value for name, column in pairs if (value := payload[column]) not in nulls and value is not None}

    return attributes


def _all_attributes(mapped: frozenset[str], nulls: frozenset[str]) -> Getter:
    def attributes(payload: Payload) -> dict[str, Any]:
        return {
            name: value
            for name, value in payload.items()
            if name not in mapped and value is not None and not (isinstance(value, str) and value in nulls)
        }

    return attributes


def named_columns(source: CsvSourceConfig) -> list[str]:
    """All columns that the key and the mapping take by name, in the order of the configuration's fields."""
    attributes = source.map.attributes
    targets = list(attributes.values()) if isinstance(attributes, dict) else []
    named = [
        *(source.key or ()),
        *mapped_names(source.map),
        *(target for target in targets if isinstance(target, str)),
    ]
    return list(dict.fromkeys(named))


def mapped_names(mapped: RecordMap[str]) -> list[str]:
    """Columns and paths that a target other than `attributes` takes by name."""
    targets: list[object] = [getattr(mapped, name) for name in (*_TEXT_FIELDS, "value", "occurred_at")]
    targets.extend(cast("tuple[object, ...]", mapped.tags if isinstance(mapped.tags, tuple) else (mapped.tags,)))
    return [target for target in targets if isinstance(target, str)]
