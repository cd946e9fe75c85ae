"""How one file is written: its encoding, its line ends, its delimiter and its quoting."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Dialect:
    """`newline` ends a physical line: LF (an optional CR before it is dropped) or CR. `bom_bytes` come before line 1.

    `skips_spaces`: spaces after a delimiter are no part of the cell, so that `1, "a, b"` has two cells.
    Without `escapechar` a quote inside a quoted cell is doubled (RFC 4180); with it, it may be doubled or escaped.
    """

    encoding: str = "utf-8"
    bom_bytes: int = 0
    newline: str = "\n"
    delimiter: str = ","
    quotechar: str | None = '"'
    escapechar: str | None = None
    skips_spaces: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**value)


class LineCodec:
    """Physical lines of raw bytes. Bytes always begin at a line, so wide code units are aligned."""

    def __init__(self, dialect: Dialect) -> None:
        self.encoding = dialect.encoding
        self._newline = dialect.newline.encode(dialect.encoding)
        self.width = len(self._newline)

    def whole_lines(self, raw: bytes) -> int:
        """Number of bytes up to and including the last line end; 0 when there is none."""
        position = raw.rfind(self._newline)
        while position > 0 and position % self.width:
            position = raw.rfind(self._newline, 0, position + self.width - 1)
        return position + self.width if position >= 0 and position % self.width == 0 else 0

    def end_of_line(self, raw: bytes, begin: int = 0) -> int:
        """Position behind the first line end at or after `begin`; 0 when there is none."""
        position = raw.find(self._newline, begin)
        while position >= 0 and position % self.width:
            position = raw.find(self._newline, position + 1)
        return position + self.width if position >= 0 else 0

    def split(self, raw: bytes) -> list[bytes]:
        """Physical lines with their ends; the last may lack one."""
        if self.width > 1:
            return self._split_wide(raw)
        lines = [line + self._newline for line in raw.split(self._newline)]
        last = lines.pop()[:-1]
        return [*lines, last] if last else lines

    def _split_wide(self, raw: bytes) -> list[bytes]:
        lines: list[bytes] = []
        begin = 0
        while end := self.end_of_line(raw, begin):
            lines.append(raw[begin:end])
            begin = end
        return [*lines, raw[begin:]] if begin < len(raw) else lines

    def offset_after(self, raw: bytes, lines: int) -> int:
        """Number of bytes in the first `lines` physical lines of `raw`."""
        if lines == 0:
            return 0
        if self.width > 1:
            return sum(map(len, self._split_wide(raw)[:lines]))
        parts = raw.split(self._newline, lines)
        return len(raw) - len(parts[lines]) if len(parts) > lines else len(raw)

    def is_terminated(self, raw: bytes) -> bool:
        """Whether the bytes end with a line end."""
        return bool(raw) and len(raw) % self.width == 0 and raw.endswith(self._newline)

    def decode(self, raw: bytes) -> str:
        """Raises UnicodeDecodeError."""
        return raw.decode(self.encoding)

    def decode_loosely(self, raw: bytes) -> str:
        """Text in which line ends, delimiters and quotes stand where they are; what cannot be decoded is replaced."""
        return raw.decode(self.encoding, "replace")
