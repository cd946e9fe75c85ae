"""What a user may say about a CSV source; everything that is left out is detected on the head of each file."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from kasparro.core.errors import ConfigurationError

MAX_RECORD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """Plain values; None means: detect. An empty `quotechar` or `escapechar` means: the files use none.

    `key` empty: a record's identity is the hash of its row. `columns` names the columns when there is no header; with
    `header=True` they stand in for the names in the file. `skip_rows` counts physical lines before the header.
    """

    name: str
    pattern: str
    base_dir: Path
    key: tuple[str, ...] = ()
    header: bool | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    quotechar: str | None = None
    escapechar: str | None = None
    encoding: str | None = None
    skip_rows: int = 0
    comment: str | None = None
    max_record_bytes: int = MAX_RECORD_BYTES

    def __post_init__(self) -> None:
        for option in ("delimiter", "quotechar", "escapechar"):
            self._check_character(option, getattr(self, option), may_be_empty=option != "delimiter")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ConfigurationError(f"source {self.name}: columns: a name stands there twice")
        if self.comment == "":
            raise ConfigurationError(f"source {self.name}: comment: must not be empty")

    def _check_character(self, option: str, value: str | None, *, may_be_empty: bool) -> None:
        if value is None or (may_be_empty and value == ""):
            return
        if len(value) != 1 or value in "\r\n\x00":
            raise ConfigurationError(f"source {self.name}: {option}: must be one character, not {value!r}")

    def reading_hash(self) -> str:
        """Changes when a file would be read otherwise: a position found under other options does not count."""
        said = [self.header, self.columns, self.delimiter, self.quotechar, self.escapechar, self.encoding]
        text = json.dumps([*said, self.skip_rows, self.comment, self.max_record_bytes])
        return blake2b(text.encode(), digest_size=8).hexdigest()
