"""Filters as SQL conditions. As in SQL, a value that is missing satisfies no comparison, negated or not."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from kasparro.services.data.columns import Kind
from kasparro.services.data.query import Filter
from kasparro.services.data.statement import Parameters

_COMPARISONS: Final = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
}
SQL_TYPES: Final[dict[Kind, str]] = {
    "integer": "bigint",
    "text": "text",
    "source": "text",
    "decimal": "numeric",
    "time": "timestamptz",
}
"""As what a value is compared, by the column's kind."""
_TAGS: Final = "nullif(u.tags, '{}')"
_NUMBER: Final = "'^[+-]?[0-9]{1,200}([.][0-9]{0,200})?([eE][+-]?[0-9]{1,3})?$'"
"""What reads as a number and is sure to be within PostgreSQL's numeric."""


def live_conditions(
    filters: Sequence[Filter], search: str | None, source_ids: Sequence[int] | None, parameters: Parameters
) -> list[str]:
    """What a row of unified_data (`u`) must satisfy: not deleted, of these sources, and all filters."""
    conditions = ["u.deleted_at is null"]
    if source_ids is not None:
        conditions.append(_of_sources(source_ids, parameters))
    conditions += [_condition(item, parameters) for item in filters if item.field.column.kind != "source"]
    if search is not None:
        pattern = parameters.add(f"%{escaped(search)}%")
        conditions.append(f"(u.title ilike {pattern}::text or u.body ilike {pattern}::text)")
    return conditions


def source_condition(item: Filter, parameters: Parameters) -> str:
    """What a row of sources (`s`) must satisfy for a filter by `source` or `source_type`: a name may be a type."""
    if item.field.name != "source" or item.operator not in {"eq", "neq", "in"}:
        return _condition(item, parameters)
    names = item.operand if item.operator == "in" else [item.operand]
    given = f"{parameters.add(list(names))}::text[]"
    condition = f"(s.name = any({given}) or s.type = any({given}))"
    return condition if item.negated == (item.operator == "neq") else f"(not {condition})"


def escaped(text: str) -> str:
    """The text as a pattern that matches itself alone."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def attribute_text(path: str) -> str:
    """A value in `attributes` as text; a number as its digits, an object or list as JSON."""
    return f"(u.attributes #>> {path}::text[])"


def attribute_number(path: str) -> str:
    """A value in `attributes` as a number, also if it is text that reads as one; else null, never an error."""
    return (
        f"(case when jsonb_typeof(u.attributes #> {path}::text[]) = 'number' then {attribute_text(path)}::numeric"
        f" when {attribute_text(path)} ~ {_NUMBER} then {attribute_text(path)}::numeric end)"
    )


def _of_sources(source_ids: Sequence[int], parameters: Parameters) -> str:
    if len(source_ids) == 1:
        return f"u.source_id = {parameters.add(source_ids[0])}::integer"
    return f"u.source_id = any({parameters.add(list(source_ids))}::integer[])"


def _condition(item: Filter, parameters: Parameters) -> str:
    by_kind = {"tags": _tags_condition, "attributes": _attribute_condition}
    condition = by_kind.get(item.field.column.kind, _column_condition)(item, parameters)
    return f"(not {condition})" if item.negated else condition


def _column_condition(item: Filter, parameters: Parameters) -> str:
    column = item.field.column
    if item.operator == "is":
        return f"({column.sql} is {'null' if item.operand == 'null' else 'not null'})"
    return _compared(column.sql, item, SQL_TYPES[column.kind], parameters)


def _attribute_condition(item: Filter, parameters: Parameters) -> str:
    path = parameters.add(list(item.field.path))
    if item.operator == "is":
        return _attribute_is(path, item.operand)
    if isinstance(item.operand, Decimal):
        return _compared(attribute_number(path), item, "numeric", parameters)
    return _compared(attribute_text(path), item, "text", parameters)


def _attribute_is(path: str, word: str) -> str:
    if word in {"true", "false"}:
        return f"((u.attributes #> {path}::text[]) = '{'true' if word == 'true' else 'false'}'::jsonb)"
    return f"({attribute_text(path)} is {'null' if word == 'null' else 'not null'})"


def _compared(sql: str, item: Filter, type_: str, parameters: Parameters) -> str:
    if item.operator == "in":
        return f"({sql} = any({parameters.add(list(item.operand))}{_cast(type_, '[]')}))"
    return f"({sql} {_COMPARISONS[item.operator]} {parameters.add(item.operand)}{_cast(type_)})"


def _cast(type_: str, many: str = "") -> str:
    """Times are given as text: the driver takes the first and the last moment that it knows for infinities."""
    return f"::text{many}::{type_}{many}" if type_ == SQL_TYPES["time"] else f"::{type_}{many}"


def _tags_condition(item: Filter, parameters: Parameters) -> str:
    """An empty list is missing; `neq` is no tag of this text."""
    if item.operator == "is":
        return f"({_TAGS} is {'null' if item.operand == 'null' else 'not null'})"
    if item.operator == "in":
        return f"({_TAGS} && {parameters.add(list(item.operand))}::text[])"
    operand = f"{parameters.add(item.operand)}::text"
    if item.operator in {"like", "ilike"}:
        some = f"exists(select from unnest(u.tags) tag where tag {_COMPARISONS[item.operator]} {operand})"
        return f"(case when {_TAGS} is not null then {some} end)"
    contained = f"({operand} = any({_TAGS}))"
    return f"(not {contained})" if item.operator == "neq" else contained
