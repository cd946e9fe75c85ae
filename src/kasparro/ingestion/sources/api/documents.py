"""JSON documents (RFC 8259) with exact numbers, and errors that show what came instead.

What is JSON, but cannot be stored (NaN, huge exponents, lone surrogates, repeated names, bytes that are no UTF-8) is
let through by a second, slower reading, so that it costs the record that holds it and not the page.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self, cast

import jiter

from kasparro.core.errors import SourceError
from kasparro.core.masking import mask_text

_SHOWN_CHARACTERS: Final = 200
_MAX_INTEGER_CHARACTERS: Final = 4300  # beyond it Python refuses to convert text to integers
_UTF8: Final = ("utf-8", "utf-8-sig")


class RepeatedNames(dict[str, Any]):
    """An object in which a name stands more than once; as a dictionary it has the last value of each."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def repeated(self) -> str:
        """The first name that stands there again."""
        seen: set[str] = set()
        return next(name for name, _ in self.pairs if name in seen or seen.add(name))


class BeyondDecimal(Decimal):
    """A number whose exponent no decimal can have; it counts as infinite, and keeps its text."""

    literal: str

    def __new__(cls, literal: str) -> Self:
        number = super().__new__(cls, "-Infinity" if literal.startswith("-") else "Infinity")
        number.literal = literal
        return number

    def __str__(self) -> str:
        return self.literal


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed body. `repeating`: objects with repeated names; `undecodable`: bytes became lone surrogates."""

    value: Any
    repeating: list[RepeatedNames] = field(default_factory=list[RepeatedNames])
    undecodable: bool = False


def parse_document(body: bytes, url: str, content_type: str) -> Document:
    """The document in a body. Raises SourceError that names `url`, what came instead, and where it goes wrong."""
    try:
        value = jiter.from_json(
            body, allow_inf_nan=False, float_mode="decimal", catch_duplicate_keys=True, cache_mode="keys"
        )
    except ValueError:
        return _parse_carefully(body, url, content_type)
    return Document(value)


def members(value: Any) -> Iterator[Any]:
    """Everything in a JSON value, itself included; names of objects too, and all values of a repeated name."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, RepeatedNames):
            for name, each in item.pairs:
                waiting += (name, each)
        elif isinstance(item, dict):
            shown = cast("dict[str, Any]", item)
            waiting.extend(shown)
            waiting.extend(shown.values())
        elif isinstance(item, list):
            waiting.extend(cast("list[Any]", item))


def json_text(value: Any) -> str:
    """A value as JSON, with repeated names as they came. May raise RecursionError."""
    if isinstance(value, dict):
        members_ = cast("dict[str, Any]", value)
        pairs = value.pairs if isinstance(value, RepeatedNames) else list(members_.items())
        return "{" + ",".join([f"{json.dumps(name)}:{json_text(item)}" for name, item in pairs]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([json_text(item) for item in cast("list[Any]", value)]) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _parse_carefully(body: bytes, url: str, content_type: str) -> Document:
    text, undecodable = _decoded(body, url, content_type)
    repeating: list[RepeatedNames] = []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made_plain = dict(pairs)
        if len(made_plain) == len(pairs):
            return made_plain
        repeating.append(RepeatedNames(pairs))
        return repeating[-1]

    try:
        value = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=Decimal, object_pairs_hook=made
        )
    except json.JSONDecodeError as error:
        raise _refusal(text, url, content_type, error) from None
    except RecursionError:
        raise SourceError(f"{url}: the JSON is nested too deep; {_beginning(text)}") from None
    return Document(value, repeating, undecodable)


def _decimal(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except InvalidOperation:
        return BeyondDecimal(literal)


def _integer(literal: str) -> int | Decimal:
    return int(literal) if len(literal) <= _MAX_INTEGER_CHARACTERS else Decimal(literal)


def _decoded(body: bytes, url: str, content_type: str) -> tuple[str, bool]:
    """The body's text, and whether some bytes are none (they become lone surrogates U+DC80 to U+DCFF)."""
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding, "strict" if encoding in _UTF8 else "surrogatepass"), False
    except UnicodeDecodeError as error:
        if encoding not in _UTF8:
            raise SourceError(f"{url}: the body is no text: {encoding} ends at byte {error.start}") from None
    declared = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        if declared and declared not in _UTF8:
            return body.decode(declared), False
    except (LookupError, UnicodeDecodeError):
        pass  # a charset that is unknown, or not the body's, says nothing: the bytes at fault are marked below
    return body.decode(encoding, "surrogateescape"), True


def _refusal(text: str, url: str, content_type: str, error: json.JSONDecodeError) -> SourceError:
    place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
    if not text.strip():
        return SourceError(f"{url}: the body is empty, where JSON was expected ({content_type or 'no content type'})")
    head = text.lstrip()[:500].lower()
    if head.startswith("<"):
        kind = "XML" if head.startswith("<?xml") and "<html" not in head else "HTML"
        reason = f"{kind} instead of JSON"
    elif error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        reason = f"the JSON is cut off: {error.msg}"
    else:
        reason = f"not JSON: {error.msg}"
    described = content_type or "no content type"
    return SourceError(f"{url}: {reason} at {place}; content type: {described}; {_beginning(text)}")


def _beginning(text: str) -> str:
    head = text[:_SHOWN_CHARACTERS]
    readable = "".join(character if character.isprintable() else " " for character in head)
    return f"it begins with: {mask_text(readable)}"
