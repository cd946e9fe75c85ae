"""The mapping of a CSV source over whole columns, where each of its targets is a column or a constant text.

`not_null(price, cost)` over columns is one as well: that one of the file's columns which is named first, for a cell is
never null. So a source whose columns were renamed (docs/drift.md) is as fast as before.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Collection, Mapping
from functools import reduce
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.hashing import as_hexadecimal
from kasparro.ingestion.columns.json_text import member, quote, text_pieces, unless_empty
from kasparro.ingestion.columns.reading import (
    Column,
    normalized,
    null_texts,
    read_decimal,
    read_key,
    read_text,
    read_time,
    without_nulls,
)
from kasparro.ingestion.keys import KEY_SEPARATOR
from kasparro.ingestion.mapping import mapped_names, named_columns
from kasparro.ingestion.versions import version_column
from kasparro.schemas.configuration import ConstantTarget, CsvSourceConfig, ExpressionTarget
from kasparro.schemas.configuration.expressions import first_of

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

Cells = Mapping[str, pa.Array]
_TEXTS: Final = ("title", "body", "url", "author", "category", "unit")
_LETTER_OR_DIGIT: Final = "[0-9A-Za-z]"


class ColumnMapping:
    """Made by `compile_columns`; `columns` are those that a file must have for it."""

    def __init__(self, config: CsvSourceConfig) -> None:
        self._map = config.map
        self._key = config.key
        self._nulls = null_texts(config.null_values)
        self._naive_is_utc = config.timezone == "UTC"
        self._version = config.version
        self.ignore = frozenset(config.ignore)
        self.columns = frozenset(named_columns(config))

    def of(self, names: Collection[str]) -> "ColumnMapping":
        """The mapping for rows with columns of these names."""
        del names
        return self

    def record_keys(self, cells: Cells, hashes: bytes) -> Column:
        """The name of each record; `hashes` are those of the contents, which name records without a key."""
        if self._key is None:
            keys = as_hexadecimal(hashes)
            return Column(keys, text_pieces(keys))
        parts = [cells[name] for name in self._key]
        good = reduce(pc.and_, [self._names_something(part) for part in parts])
        joined = parts[0]
        if len(parts) > 1:
            escaped = [found for part in parts if (found := pc.match_substring(part, KEY_SEPARATOR)).true_count]
            good = reduce(pc.and_not, escaped, good)
            joined = pc.binary_join_element_wise(*parts, KEY_SEPARATOR)
        read = read_key(joined)
        return Column(read.values, read.canonical, pc.and_(good, read.good))

    def fields(self, cells: Cells, length: int) -> dict[str, Column]:
        """The mapped fields, `attributes` as JSON among them."""
        found = {name: self._text(name, cells, length) for name in _TEXTS if getattr(self._map, name) is not None}
        if self._map.entity_key is not None:
            found["entity_key"] = self._text("entity_key", cells, length)
        if isinstance(self._map.value, str):
            found["value"] = read_decimal(self._present(cells, self._map.value))
        if isinstance(self._map.occurred_at, str):
            times = self._present(cells, self._map.occurred_at)
            found["occurred_at"] = read_time(times, naive_is_utc=self._naive_is_utc)
        if self._map.tags is not None:
            found["tags"] = self._tags(cells)
        if self._map.attributes is not None:
            found["attributes"] = self._attributes(cells, length)
        return found

    def version(self, cells: Cells) -> Column | None:
        """The version of each record; None where there are none."""
        if self._version is None:
            return None
        present = self._present(cells, self._version.field)
        texts, good = version_column(self._version.type, present, naive_is_utc=self._naive_is_utc)
        return Column(texts, (), good)

    def _names_something(self, part: pa.Array) -> pa.Array:
        return pc.and_not(pc.match_substring_regex(part, _LETTER_OR_DIGIT), pc.is_in(part, self._nulls))

    def _present(self, cells: Cells, column: str) -> pa.Array:
        return without_nulls(cells[column], self._nulls)

    def _text(self, name: str, cells: Cells, length: int) -> Column:
        target = getattr(self._map, name)
        read: Callable[[pa.Array], Column] = read_key if name == "entity_key" else read_text
        if isinstance(target, str):
            return read(self._present(cells, target))
        constant = normalized(pa.array([target.value], pa.string()))[0]
        return Column(pa.repeat(constant, length), ('"', str(constant), '"'))

    def _tags(self, cells: Cells) -> Column:
        targets = self._map.tags if isinstance(self._map.tags, tuple) else (self._map.tags,)
        columns = [normalized(self._present(cells, str(target))) for target in targets]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        lists = [[text for text in row if text is not None] or None for row in rows]
        values = pa.array(lists, pa.list_(pa.string()))
        return Column(values, (unless_empty([text_pieces(column) for column in columns], "[", "]"),))

    def _attributes(self, cells: Cells, length: int) -> Column:
        members = [
            member(name, text_pieces(self._present(cells, column)))
            for name, column in sorted(self._attribute_columns(cells))
        ]
        joined = unless_empty(members, "{", "}") if members else pa.nulls(length, pa.string())
        return Column(joined, (joined,))

    def _attribute_columns(self, cells: Cells) -> list[tuple[str, str]]:
        """Names of attributes, each with its column."""
        attributes = self._map.attributes
        if isinstance(attributes, dict):
            return [(name, str(target)) for name, target in attributes.items()]
        mapped = frozenset(mapped_names(self._map))
        return [(name, name) for name in cells if name not in mapped]


class _FirstPresent(ColumnMapping):
    """One that has targets which take the first of several columns that is there."""

    def __init__(self, config: CsvSourceConfig) -> None:
        super().__init__(_resolved(config, ()))
        self._config = config
        self._made: dict[frozenset[str], ColumnMapping] = {}

    def of(self, names: Collection[str]) -> ColumnMapping:
        key = frozenset(names)
        if key not in self._made:
            self._made[key] = ColumnMapping(_resolved(self._config, key))
        return self._made[key]


def _resolved(config: CsvSourceConfig, names: Collection[str]) -> CsvSourceConfig:
    """The configuration with a column for each `not_null` over columns: the first that is there, else the first."""

    def column(target: Any) -> Any:
        if isinstance(target, tuple):
            return tuple(map(column, target))
        if isinstance(target, dict):
            return {name: column(each) for name, each in target.items()}
        found = first_of(target.expr) if isinstance(target, ExpressionTarget) else None
        return target if found is None else next((name for name in found if name in names), found[0])

    fields = {name: column(getattr(config.map, name)) for name in config.map.model_fields_set}
    return config.model_copy(update={"map": config.map.model_copy(update=fields)})


def compile_columns(config: CsvSourceConfig) -> ColumnMapping | None:
    """The mapping over columns; None where a record must be looked at as a whole: to filter it, or for a tombstone."""
    resolved = _resolved(config, ())
    if resolved.map == config.map:
        return ColumnMapping(config) if _is_plain(config) else None
    # with all other columns as attributes, those that an expression names are among them
    return _FirstPresent(config) if _is_plain(resolved) and config.map.attributes != "*" else None


def _is_plain(config: CsvSourceConfig) -> bool:
    """Whether each target is a column or a constant text, and nothing looks at records as a whole."""
    mapped = config.map
    texts = [target for name in (*_TEXTS, "entity_key") if (target := getattr(mapped, name)) is not None]
    plain: list[object] = [mapped.value, mapped.occurred_at]
    plain.extend(mapped.tags if isinstance(mapped.tags, tuple) else [mapped.tags])
    plain.extend(mapped.attributes.values() if isinstance(mapped.attributes, dict) else [])
    if looks_at_records(config) or not all(target is None or isinstance(target, str) for target in plain):
        return False
    return all(map(_is_plain_text, texts))


def looks_at_records(config: CsvSourceConfig) -> bool:
    """Whether an expression decides over each record as a whole."""
    return config.where is not None or (config.deletes is not None and config.deletes.tombstone is not None)


def _is_plain_text(target: object) -> bool:
    """Whether it is a column, or a constant that needs no escape in JSON."""
    if isinstance(target, str):
        return True
    value = target.value if isinstance(target, ConstantTarget) else None
    return isinstance(value, str) and value != "" and quote(value)[1:-1] == value and "\x00" not in value
