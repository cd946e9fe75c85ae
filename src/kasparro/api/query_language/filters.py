"""One filter: `field=value` or `field=op.value`, negated by `not.` before the operator."""

import re
from typing import Any, Final, cast

from kasparro.api.errors import shortened
from kasparro.api.query_language.operands import MAX_CHARACTERS, READERS, Refused, comparable, listed, pattern
from kasparro.services.data import Field, Filter, Kind, Operator

OPERATORS: Final[tuple[Operator, ...]] = ("eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is")
IS_WORDS: Final = ("null", "notnull", "true", "false")
SOURCE_TYPES: Final = ("api", "csv", "rss")
_ORDERED: Final = {"gt", "gte", "lt", "lte"}
_PATTERNS: Final = {"like", "ilike"}
_OF_TEXT: Final = {"text", "tags", "source", "attributes"}
_FORM: Final = re.compile(rf"(not\.)?(?:({'|'.join(OPERATORS)})\.)?(.*)", re.DOTALL)
_WITHOUT: Final[dict[Kind, set[str]]] = {
    "integer": _PATTERNS,
    "decimal": _PATTERNS,
    "time": _PATTERNS,
    "tags": _ORDERED,
    "source": {*_ORDERED, "is"},
}
"""Operators that make no sense for a kind of column."""


def read_filter(field: Field, value: str) -> Filter:
    """The filter that a parameter's value says. Raises Refused."""
    if len(value) > MAX_CHARACTERS:
        raise Refused(f"at most {MAX_CHARACTERS} characters")
    match = _FORM.fullmatch(value)
    assert match is not None
    negated, operand = bool(match[1]), match[3]
    operator = cast("Operator | None", match[2])
    if operator is None:
        if negated:
            raise Refused(f"an operator must follow not.{_as_text(field, value)}")
        operator = "eq"
    _refuse_senseless(field, operator, value)
    return Filter(field, operator, _operand(field, operator, operand), negated)


def operators_of(kind: Kind) -> list[str]:
    """What a column of this kind can be asked with."""
    return [operator for operator in OPERATORS if operator not in _WITHOUT.get(kind, ())]


def _refuse_senseless(field: Field, operator: str, value: str) -> None:
    if field.column.kind == "attributes" and not field.path:
        raise Refused("name a value inside it, as in attributes.name=value")
    known = operators_of(field.column.kind)
    if operator not in known:
        raise Refused(f"{operator} cannot be used here, only {', '.join(known)}{_as_text(field, value)}")


def _as_text(field: Field, value: str) -> str:
    """How to ask for a text that begins like an operator, where there may be such a text."""
    if field.column.kind not in _OF_TEXT or field.name == "source_type":
        return ""
    return f"; if the text itself is meant, write eq. before it, as in {shortened(f'{field.name}=eq.{value}')}"


def _operand(field: Field, operator: str, text: str) -> Any:
    kind = field.column.kind
    read = READERS[kind]
    if operator == "is":
        return _is_word(kind, text)
    if operator in _PATTERNS:
        return pattern(text)
    if operator == "in":
        return [_known_type(field, read(item)) for item in listed(text)]
    if operator in _ORDERED and kind == "attributes":
        return comparable(text)
    return _known_type(field, read(text))


def _is_word(kind: Kind, word: str) -> str:
    words = IS_WORDS if kind == "attributes" else IS_WORDS[:2]
    if word in words:
        return word
    raise Refused(f"expected is.{', is.'.join(words)}")


def _known_type(field: Field, value: Any) -> Any:
    if field.name == "source" and not value:
        raise Refused("a name should have at least 1 character")
    if field.name == "source_type" and value not in SOURCE_TYPES:
        raise Refused(f"expected one of {', '.join(SOURCE_TYPES)}")
    return value
