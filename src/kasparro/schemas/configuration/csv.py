"""What may be said about a source of type `csv`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kasparro.schemas.configuration.base import ColumnName, ColumnNames, OneOrMore, SourceConfig
from kasparro.schemas.configuration.mapping import ColumnMap
from kasparro.schemas.configuration.version import VersionColumn, require_counted


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


Character = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_delimits)]
OptionalCharacter = Annotated[str, Field(max_length=1), AfterValidator(_delimits)]
Delimiter = Annotated[Character, BeforeValidator(_delimiter, json_schema_input_type=str)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


class CsvSourceConfig(SourceConfig):
    """A source of type `csv`: one file, or all that a pattern matches, with one record a row."""

    type: Literal["csv"]
    """What kind of source it is. Fixed once it has data."""
    path: Annotated[str, Field(min_length=1)]
    """A file or a pattern such as `data/trades*.csv`, relative to the configuration file. Names ending in `.gz` are
    decompressed."""
    key: Annotated[ColumnNames, OneOrMore] | None = None
    """The column, or the list of columns, whose values name a record. Without it a record is named by the hash of
    its row, so that a changed row is a new record. Fixed once the source has data."""
    map: ColumnMap
    """Which column becomes which field of the unified record."""
    ignore: tuple[ColumnName, ...] = ()
    """Columns whose changes alone do not make a record changed (they are stored all the same). Needs `key`."""
    version: VersionColumn | None = None
    """What tells which of two states of a record is the newer one, such as `updated_at`: a column alone, of times, or
    `field` with a `type`. A state older than the one that stands counts as unchanged. The last one to come stands when
    absent."""
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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ignore and self.key is None:
            raise ValueError("ignore needs key: without a key, all columns together name a record")
        if self.deletes is not None and self.deletes.tombstone is not None and self.key is None:
            raise ValueError("deletes.tombstone needs key: without a key, all columns together name a record")
        require_counted(self.version, self.ignore, is_path=False)
        missing = [name for name in self.key or () if self.columns is not None and name not in self.columns]
        if missing:
            raise ValueError(f'key names "{missing[0]}", which is not among columns')
        characters = [self.delimiter, self.quotechar, self.escapechar, self.comment]
        given = [character for character in characters if character]
        if len(given) != len(set(given)):
            raise ValueError("delimiter, quotechar, escapechar and comment must be different characters")
        return self
