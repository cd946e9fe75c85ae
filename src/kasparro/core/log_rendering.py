"""How a log line looks: one JSON object for machines, columns for people. Nothing in a value can forge a line, or paint
a terminal.
"""

import os
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

LONGEST_TEXT: Final = 16_000
"""Characters of a field's text that are shown; the rest is counted."""
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_STACK: Final = "error.stack"
_SAME_EVERYWHERE: Final = frozenset({"service", "version"})
"""On a terminal everything is said by the command that was just typed."""


def renderer(stream: TextIO) -> "Processor":
    """Turns a line's fields into its text: pretty on a terminal, else JSON (RFC 8259)."""
    return _pretty() if stream.isatty() else _AsJson()


def shortened(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """A structlog processor: no field's text is longer than a person would read."""
    del logger, method
    for name, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            event[name] = f"{value[:LONGEST_TEXT]}... ({len(value) - LONGEST_TEXT:,} more characters)"
    return event


def escaped(text: str) -> str:
    """The text with what is not printable as JSON escapes: `\\u001b`. JSON text means the same afterwards."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped, text)) if not text.isprintable() else text


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"


class _AsJson:
    """One line of printable characters; whatever JSON does not know is told as text."""

    def __init__(self) -> None:
        self._render = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)

    def __call__(self, logger: "WrappedLogger", method: str, event: "EventDict") -> str:
        text = self._render(logger, method, event)
        return escaped(text if isinstance(text, str) else text.decode())


def _pretty() -> "Processor":
    """Time, level, event and message in columns, then the other fields; a stack below, line by line."""
    colors = not os.environ.get("NO_COLOR")
    console = structlog.dev.ConsoleRenderer(columns=_columns(colors=colors))

    def render(logger: "WrappedLogger", method: str, event: "EventDict") -> str:
        stack = str(event.pop(_STACK, ""))
        shown = {escaped(name): _for_people(value) for name, value in event.items() if name not in _SAME_EVERYWHERE}
        shown["timestamp"] = str(shown.get("timestamp", ""))[11:23]
        text = str(console(logger, method, shown)).rstrip()
        return "\n    ".join([text, *map(escaped, stack.splitlines())])

    return render


def _columns(*, colors: bool) -> list[structlog.dev.Column]:
    styles = structlog.dev.ConsoleRenderer.get_default_column_styles(colors)

    def plain(style: str, width: int = 0) -> structlog.dev.KeyValueColumnFormatter:
        return structlog.dev.KeyValueColumnFormatter(None, style, styles.reset, value_repr=str, width=width)

    others = structlog.dev.KeyValueColumnFormatter(styles.kv_key, styles.kv_value, styles.reset, value_repr=str)
    levels = structlog.dev.ConsoleRenderer.get_default_level_styles(colors)
    return [
        structlog.dev.Column("timestamp", plain(styles.timestamp)),
        structlog.dev.Column("level", structlog.dev.LogLevelColumnFormatter(levels, styles.reset, 8)),
        structlog.dev.Column("event", plain(styles.kv_key, 20)),
        structlog.dev.Column("message", plain(styles.bright)),
        structlog.dev.Column("", others),
    ]


def _for_people(value: Any) -> str:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return " ".join(f"{escaped(name)}:{_for_people(item)}" for name, item in members.items()) or "{}"
    return escaped(str(value))
