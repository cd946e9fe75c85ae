"""What a configuration may say, as Pydantic models: the field descriptions below are the reference documentation."""

import zoneinfo
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from kasparro.schemas.configuration.expressions import Expression
from kasparro.schemas.configuration.mapping import RecordMap

SOURCE_TYPES: tuple[str, ...] = ("csv",)
"""Types that this version can read."""


class Strict(BaseModel):
    """Frozen, and without room for a field that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _without_repeats(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is given twice')
    return names


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone of the IANA database, such as UTC or Europe/Berlin") from None
    return name


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        raise ValueError("not a text encoding that Python knows, such as utf-8 or windows-1252") from None
    return name


def _delimiter(value: object) -> object:
    return "\t" if isinstance(value, str) and value in ("tab", "\\t") else value


def _delimits(value: str) -> str:
    if value and value in "\r\n\x00\ufeff":
        raise ValueError("must not be a line break, NUL or byte order mark")
    return value


SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
ColumnName = Annotated[str, Field(min_length=1)]
ColumnNames = Annotated[tuple[ColumnName, ...], Field(min_length=1), AfterValidator(_without_repeats)]
Key = Annotated[
    ColumnNames,
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]
Character = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_delimits)]
OptionalCharacter = Annotated[str, Field(max_length=1), AfterValidator(_delimits)]
Delimiter = Annotated[Character, BeforeValidator(_delimiter, json_schema_input_type=str)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


class RejectLimit(Strict):
    """When so many records of one batch are rejected that the source, or its mapping, must be wrong."""

    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    """A batch with a larger share of rejected records is not written, and the run fails."""
    min_records: Annotated[int, Field(ge=1)] = 20
    """A batch with fewer records than this is never judged."""


class CsvSourceConfig(Strict):
    """A source of type `csv`: one file, or all that a pattern matches, with one record a row."""

    name: SourceName
    """How the source is called everywhere. Small letters, digits, `-` and `_`, at most 63; fixed once it has data."""
    type: Literal["csv"]
    """What kind of source it is. Fixed once it has data."""
    path: Annotated[str, Field(min_length=1)]
    """A file or a pattern such as `data/trades*.csv`, relative to the configuration file. Names ending in `.gz` are
    decompressed."""
    key: Key | None = None
    """The column, or the list of columns, whose values name a record. Without it a record is named by the hash of
    its row, so that a changed row is a new record. Fixed once the source has data."""
    map: RecordMap
    """Which column becomes which field of the unified record."""
    where: Expression | None = None
    """A JMESPath predicate over the row (values are text). Rows for which it is not true are counted as filtered, and
    not kept: they cannot be replayed when it changes."""
    ignore: tuple[ColumnName, ...] = ()
    """Columns whose changes alone do not make a record changed (they are stored all the same). Needs `key`."""
    null_values: tuple[str, ...] = ("",)
    """Cell texts that mean that there is no value."""
    timezone: TimeZone = "UTC"
    """The zone of times that come without one, by its IANA name. A time that a clock change skips is read with the
    offset before the change, one that it repeats as the first of the two."""
    header: bool | None = None
    """Whether the first row holds the column names. Detected when absent."""
    columns: ColumnNames | None = None
    """The column names, in order: for files without a header, or to be used instead of it. Without either, columns are
    called `column_1`, `column_2` and so on."""
    delimiter: Delimiter | None = None
    """The character between cells (`tab` for a tab). Detected when absent."""
    quotechar: OptionalCharacter | None = None
    """The character around cells that hold delimiters or line breaks; `""` when there is none. Detected when absent."""
    escapechar: OptionalCharacter | None = None
    """The character that takes the meaning from the next one; `""` when there is none. Detected when absent."""
    encoding: Encoding | None = None
    """The text encoding, such as `utf-8` or `windows-1252`. Detected when absent."""
    skip_rows: Annotated[int, Field(ge=0)] = 0
    """How many lines before the header (or the first row) are passed over."""
    comment: Character | None = None
    """Lines that begin with this character are passed over."""
    reject_limit: RejectLimit = RejectLimit()
    """When a batch is refused as a whole."""

    _written: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @property
    def written(self) -> dict[str, Any]:
        """The source as it stands in the file: variables not filled in."""
        return self._written

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("name", self.name), ("type", self.type)]

    @field_validator("null_values", mode="after")
    @classmethod
    def _sorted_null_values(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ignore and self.key is None:
            raise ValueError("ignore needs key: without a key, all columns together name a record")
        missing = [name for name in self.key or () if self.columns is not None and name not in self.columns]
        if missing:
            raise ValueError(f'key names "{missing[0]}", which is not among columns')
        characters = [self.delimiter, self.quotechar, self.escapechar, self.comment]
        given = [character for character in characters if character]
        if len(given) != len(set(given)):
            raise ValueError("delimiter, quotechar, escapechar and comment must be different characters")
        return self


class Configuration(Strict):
    """The whole of `kasparro.yaml`."""

    sources: Annotated[tuple[CsvSourceConfig, ...], Field(min_length=1)]
    """Where records come from; read independently of each other."""

    def source(self, name: str) -> CsvSourceConfig | None:
        """The source of that name."""
        return next((source for source in self.sources if source.name == name), None)
