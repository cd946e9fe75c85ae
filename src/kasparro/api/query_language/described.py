"""The parameters of `GET /data` as /openapi.json describes them. What is open, `attributes.*`, is told in words."""

from typing import Any, Final, get_args

from kasparro.api.query_language.filters import OPERATORS, SOURCE_TYPES, operators_of
from kasparro.api.query_language.names import MAX_FIELDS, MAX_SORT_KEYS
from kasparro.api.query_language.operands import (
    INTEGER,
    MAX_CHARACTERS,
    MAX_LISTED,
    MAX_PATTERN_CHARACTERS,
    NUMBER,
    PATTERN,
    TIME,
)
from kasparro.api.query_language.parsing import MAX_FILTERS_OF_A_FIELD, SHORT_NAMES, Count, Format
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from kasparro.services.data import COLUMNS, Column, Kind

_Object = dict[str, Any]
_TEXT: Final = r"[^\x00]*"
_NAME: Final = r"[^\x00]+"
_TYPES: Final = f"({'|'.join(SOURCE_TYPES)})"
_LISTED: Final = r'("([^"\\\x00]|\\[^\x00])*"|[^",()\x00]*)'
_BARE: Final = rf"(?!(not|{'|'.join(OPERATORS)})\.)"
"""What is given without an operator does not begin like one."""
_OPERANDS: Final[dict[Kind, str]] = {
    "integer": INTEGER.pattern,
    "decimal": NUMBER.pattern,
    "time": TIME.pattern,
    "text": _TEXT,
    "tags": _TEXT,
    "source": _NAME,
}
_STEP: Final = r'\.([^".,\x00]+|"[^",\x00]+")'


def _parameter(name: str, description: str, schema: _Object) -> _Object:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _number(low: int, high: int, default: int | None = None) -> _Object:
    schema: _Object = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else {**schema, "default": default}


def _choice(choices: tuple[str, ...]) -> _Object:
    return {"type": "string", "enum": list(choices)}


def _filter(column: Column) -> _Object:
    operators = operators_of(column.kind)
    description = f"Filter: a value, or an operator and a value ({', '.join(operators)}; `not.` before it negates)."
    if column.name == "source":
        description += " A source's name, or a type (api, csv, rss): every source of it."
    item = {"type": "string", "pattern": _pattern(column, operators), "maxLength": MAX_CHARACTERS}

    schema = {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_FILTERS_OF_A_FIELD}
    return {**_parameter(column.name, description, schema), "style": "form", "explode": True}


def _pattern(column: Column, operators: list[str]) -> str:
    """What a filter may be, all in all."""
    operand = _TYPES if column.name == "source_type" else _OPERANDS[column.kind]
    item = _LISTED if operand == _TEXT else f'({operand}|"{operand}")' if column.kind != "source" else _names(column)
    forms = [f"{_BARE}{operand}", rf"(not\.)?in\.\((?!\)){item}(,{item}){{0,{MAX_LISTED - 1}}}\)"]
    forms += [rf"(not\.)?({'|'.join(name for name in operators if name in _COMPARED)})\.{operand}"]
    if "like" in operators:
        forms += [rf"(not\.)?i?like\.{PATTERN.pattern}"]
    if "is" in operators:
        forms += [r"(not\.)?is\.(null|notnull)"]
    return f"^({'|'.join(forms)})$".replace(r"\x00", r"\u0000")


def _names(column: Column) -> str:
    """Of sources in a list: none is empty."""
    return f'({_TYPES}|"{_TYPES}")' if column.name == "source_type" else r'("([^"\\\x00]|\\[^\x00])+"|[^",()\x00]+)'


def _fields(descending: str, left_out: set[str], at_most: int) -> _Object:
    names = "|".join(name for name in COLUMNS if name not in left_out)
    pattern = f"^{descending}({names}|attributes({_STEP}){{1,10}})$".replace(r"\x00", r"\u0000")
    return {
        "type": "array",
        "items": {"type": "string", "pattern": pattern, "maxLength": 200},
        "minItems": 1,
        "maxItems": at_most,
    }


_COMPARED: Final = {"eq", "neq", "gt", "gte", "lt", "lte"}
_LIST: Final = {"style": "form", "explode": False}
DATA_PARAMETERS: Final[list[_Object]] = [
    _parameter("limit", "How many records at most.", _number(1, MAX_LIMIT, DEFAULT_LIMIT)),
    _parameter(
        "offset", "How many records to skip; not together with `cursor`, which is faster.", _number(0, MAX_OFFSET)
    ),
    _parameter(
        "cursor",
        "Where the page begins: `next_cursor` of the page before, with the same filters and sort. Cursors are signed.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    ),
    {
        **_parameter(
            "sort",
            "Fields, as in `-occurred_at,title`; a minus is descending, missing values come last, and id breaks ties. "
            "Also `attributes.<name>`.",
            _fields("-?", {"tags", "attributes"}, MAX_SORT_KEYS),
        ),
        **_LIST,
    },
    {
        **_parameter(
            "fields",
            "Only these, as in `id,title,attributes.<name>`. Default: all columns.",
            {**_fields("", set(), MAX_FIELDS), "uniqueItems": True},
        ),
        **_LIST,
    },
    _parameter(
        "q",
        "Text that stands somewhere in title or body, whatever its case.",
        {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARACTERS, "pattern": r"^[^\u0000]+$"},
    ),
    _parameter(
        "count",
        "Whether to count what the filters leave (default: none); also `Prefer: count=`.",
        _choice(get_args(Count)),
    ),
    _parameter("format", "In which form; without it as `Accept` says.", _choice(get_args(Format))),
    *(_filter(column) for column in COLUMNS.values() if column.kind != "attributes"),
    *(
        {**_filter(COLUMNS[name]), "name": short, "description": f"Another name of the filter `{name}`."}
        for short, name in SHORT_NAMES.items()
    ),
]
