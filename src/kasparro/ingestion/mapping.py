"""A source's `map:` compiled to one function from payload to candidate fields of a unified record.

Plain names are direct look-ups: of a column in CSV, of a member or path in JSON; expressions are JMESPath. Whatever
cannot be read becomes a Defect that names the field and shows the text; nothing is guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from kasparro.ingestion.keys import KeyColumn, KeyOf, column_key, hash_key, key_column, path_key
from kasparro.ingestion.looks import column_look, dictionaries, found_look, number_look, tags_look, time_look
from kasparro.ingestion.paths import Getter, Look, look_at, look_by, look_through
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
Fields = Callable[[Sequence[Payload]], dict[str, Any]]
"""The mapped fields of many payloads: for each the values, None where there is none, or what `columns/fields.py` takes
in their place. They are what `Normalize` gives; raises KeyError, Defective or RecordRejected as soon as one payload has
a defect."""
_TEXT_FIELDS: Final = ("title", "body", "url", "author", "category", "unit", "entity_key")


def compile_mapping(source: AnySourceConfig) -> Normalize:
    """The function that normalizes payloads of this source. It is pure, and raises RecordRejected with every defect."""
    key_of = compile_key(source)
    targets = _targets(source)
    getters = [(name, look.one) for name, look in targets.fields()]
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


def compile_fields(source: AnySourceConfig) -> Fields | None:
    """The same over many payloads; None for a source whose records are normalized one by one."""
    if isinstance(source, RssSourceConfig):
        return None
    keys = _key_column(source)
    looks = _targets(source).fields()
    return lambda payloads: {"record_key": keys(payloads), **{name: look.many(payloads) for name, look in looks}}


def compile_target(source: AnySourceConfig, name: str) -> Look | None:
    """What one field of the mapping looks up; None where it is not mapped. Raises KeyError, Defective."""
    return dict(_targets(source).fields()).get(name)


def _key_column(source: AnySourceConfig) -> KeyColumn:
    key_of, nulls = compile_key(source), frozenset(source.null_values)
    names = list(source.key or ())
    if len(names) != 1:
        return lambda payloads: list(map(key_of, payloads))
    name = names[0]
    part = look_at(name) if not isinstance(source, CsvSourceConfig) else column_look(name, None, frozenset())
    return key_column(part, key_of, nulls)


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

    map: "RecordMap[str]"
    nulls: frozenset[str]
    zone_name: str
    is_json: bool

    def fields(self) -> list[tuple[str, Look]]:
        """Each mapped field with what looks it up."""
        mapped, nulls = self.map, self.nulls
        readings: dict[str, Reading] = dict.fromkeys(_TEXT_FIELDS, as_text)
        readings |= {"value": decimal_reading(nulls), "occurred_at": time_reading(self.zone_name, nulls)}
        looks: list[tuple[str, Look]] = []
        for name, reading in readings.items():
            target: Target[str] | None = getattr(mapped, name)
            if target is not None:
                look = {"occurred_at": self._time, "value": self._number}.get(name, self.look)
                looks.append((name, look(target, reading)))
        if mapped.tags is not None:
            looks.append(("tags", self._tags_look(mapped.tags)))
        if mapped.attributes == "*":
            looks.append(("attributes", look_by(_all_attributes(frozenset(mapped_names(mapped)), nulls))))
        elif mapped.attributes is not None:
            looks.append(("attributes", self._attributes(mapped.attributes)))
        return looks

    def each_attribute(self) -> list[tuple[str, Getter]]:
        """Each attribute as a field of its own, so that all that are at fault can be named."""
        attributes = self.map.attributes
        targets = attributes if isinstance(attributes, dict) else {}
        return [(f"attributes.{name}", self.look(target, None).one) for name, target in targets.items()]

    def look(self, target: Target[str], reading: Reading | None) -> Look:
        """What a target gives, read by `reading`; None as it is where that is no reading."""
        if isinstance(target, ConstantTarget):
            constant = target.value if reading is None else reading(target.value)
            return Look(lambda _: constant, lambda payloads: [constant] * len(payloads))
        if isinstance(target, ExpressionTarget):
            return found_look(look_through(target.expr), reading, self.nulls)
        if self.is_json:
            return found_look(look_at(target), reading, self.nulls)
        return column_look(target, reading, self.nulls)

    def _time(self, target: Target[str], reading: Reading) -> Look:
        if not self.is_json or not isinstance(target, str):
            return self.look(target, reading)
        return time_look(look_at(target), reading, self.nulls, naive_is_utc=self.zone_name == "UTC")

    def _number(self, target: Target[str], reading: Reading) -> Look:
        if not self.is_json or not isinstance(target, str):
            return self.look(target, reading)
        return number_look(look_at(target), reading, self.nulls)

    def _tags_look(self, mapped: Target[str] | tuple[Target[str], ...]) -> Look:
        tags = self._tags(mapped)
        if self.is_json and isinstance(mapped, str):
            return tags_look(look_at(mapped), tags, self.nulls)
        return look_by(tags)

    def _tags(self, mapped: Target[str] | tuple[Target[str], ...]) -> Getter:
        targets = cast("tuple[Target[str], ...]", mapped if isinstance(mapped, tuple) else (mapped,))
        getters, nulls = [self.look(each, None).one for each in targets], self.nulls

        def tags(payload: Payload) -> list[str] | None:
            found: list[str] = []
            for getter in getters:
                value: Any = getter(payload)
                items = cast("list[Any]", value) if isinstance(value, list) else [value]
                found.extend(text for item in items if item is not None and (text := as_text(item)) not in nulls)
            return found or None

        return tags

    def _attributes(self, targets: Mapping[str, Target[str]]) -> Look:
        return dictionaries({name: self.look(target, None) for name, target in targets.items()}, self.nulls)


def _targets(source: AnySourceConfig) -> _Targets:
    mapped: RecordMap[str] = source.map or PathMap()
    return _Targets(mapped, frozenset(source.null_values), source.timezone, not isinstance(source, CsvSourceConfig))


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
        *(() if source.version is None else (source.version.field,)),
        *(target for target in targets if isinstance(target, str)),
    ]
    return list(dict.fromkeys(named))


def mapped_names(mapped: RecordMap[str]) -> list[str]:
    """Columns and paths that a target other than `attributes` takes by name."""
    targets: list[object] = [getattr(mapped, name) for name in (*_TEXT_FIELDS, "value", "occurred_at")]
    targets.extend(cast("tuple[object, ...]", mapped.tags if isinstance(mapped.tags, tuple) else (mapped.tags,)))
    return [target for target in targets if isinstance(target, str)]
