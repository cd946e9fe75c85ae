"""The parameters of `GET /data` as /openapi.json describes them. What is open, `attributes.*`, is told in words."""

from typing import Any, Final, get_args

from kasparro.api.query_language.filters import operators_of
from kasparro.api.query_language.names import MAX_FIELDS, MAX_SORT_KEYS
from kasparro.api.query_language.operands import MAX_CHARACTERS, MAX_LISTED, MAX_PATTERN_CHARACTERS
from kasparro.api.query_language.parsing import MAX_FILTERS, Count, Format
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from kasparro.services.data import COLUMNS, Column, Kind

_Object = dict[str, Any]
_INTEGER: Final = r"-?[0-9]{1,18}"
_DECIMAL: Final = r"-?[0-9]{1,30}(\.[0-9]{1,30})?"
_DATE: Final = r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_TIME: Final = _DATE + r"(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?Z)?"
_TEXT: Final = r"^[^\u0000]*$"
_NAME: Final = r"^[^\u0000]+$"
_OPERANDS: Final[dict[Kind, str]] = {
    "integer": _INTEGER,
    "decimal": _DECIMAL,
    "time": _TIME,
}
_NAMES: Final = (
    r"(id|source|source_type|record_key|title|body|url|author|category|value|unit|occurred_at|entity_key|raw_id)"
)


def _parameter(name: str, description: str, schema: _Object) -> _Object:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _number(low: int, high: int, default: int | None = None) -> _Object:
    schema: _Object = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else {**schema, "default": default}


def _filter(column: Column) -> _Object:
    operators = operators_of(column.kind)
    description = f"Filter: a value, or an operator and a value ({', '.join(operators)}; `not.` before it negates)."
    if column.name == "source":
        description = "A source's name, or a type (api, csv, rss): every source of it. " + description
    if column.kind not in _OPERANDS and column.name != "source_type":
        pattern = _NAME if column.kind == "source" else _TEXT
        return _parameter(column.name, description, {"type": "string", "pattern": pattern})
    schema = {"type": "array", "items": {"type": "string", "pattern": _pattern(column, operators)}, "maxItems": 2}
    return {**_parameter(column.name, description, schema), "style": "form", "explode": True}


def _pattern(column: Column, operators: list[str]) -> str:
    """Not all that is accepted: what is sure to be."""
    operand = r"(api|csv|rss)" if column.name == "source_type" else _OPERANDS[column.kind]
    compared = "|".join(name for name in operators if name not in {"in", "is", "like", "ilike"})
    forms = [operand, rf"(not\.)?({compared})\.{operand}", rf"(not\.)?in\.\({operand}(,{operand}){{0,3}}\)"]
    if "is" in operators:
        forms += [r"(not\.)?is\.(null|notnull)"]
    return f"^({'|'.join(forms)})$"


DATA_PARAMETERS: Final[list[_Object]] = [
    _parameter("limit", "How many records at most.", _number(1, MAX_LIMIT, DEFAULT_LIMIT)),
    _parameter(
        "offset", "How many records to skip; a cursor is faster. Not together with `cursor`.", _number(0, MAX_OFFSET)
    ),
    _parameter(
        "cursor",
        "Where the page begins: `next_cursor` of the page before, with the same filters and sort. Cursors are signed.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    ),
    _parameter(
        "sort",
        f"Up to {MAX_SORT_KEYS} fields, as in `-occurred_at,title`; a minus is descending, missing values come last, "
        "and id breaks ties. Also `attributes.<name>`.",
        {"type": "string", "pattern": f"^-?{_NAMES}$"},
    ),
    _parameter(
        "fields",
        f"Only these, up to {MAX_FIELDS}: `id,title,attributes.<name>`. Default: all columns.",
        {"type": "string", "pattern": f"^{_NAMES}$"},
    ),
    _parameter(
        "q",
        "Text that stands somewhere in title or body, whatever its case.",
        {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARACTERS, "pattern": r"^[^\u0000]+$"},
    ),
    _parameter(
        "count",
        "Whether to count all records that the filters leave, and how; also `Prefer: count=`.",
        {"type": "string", "enum": list(get_args(Count)), "default": "none"},
    ),
    _parameter(
        "format",
        "In which form; wins over `Accept`.",
        {"type": "string", "enum": list(get_args(Format)), "default": "json"},
    ),
    *(_filter(column) for column in COLUMNS.values() if column.kind != "attributes"),
]
LIMITS: Final = (
    f"At most {MAX_FILTERS} filters in one request, {MAX_LISTED} values in an `in`, {MAX_CHARACTERS} characters in a "
    f"value, {MAX_PATTERN_CHARACTERS} in a pattern."
)
