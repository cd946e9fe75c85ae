"""The configuration in other forms: as it is in force, as a JSON Schema for editors, and as its reference page."""

import json
import types
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel

from kasparro.schemas.configuration.document import replace_scalars, scalars
from kasparro.schemas.configuration.mapping import ConstantTarget, ExpressionTarget, RecordMap
from kasparro.schemas.configuration.models import Configuration, CsvSourceConfig, RejectLimit

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTRODUCTION = """\
# Configuration

<!-- Generated from src/kasparro/schemas/configuration by `python docs/generate_configuration.py`; do not edit. -->

One file, `kasparro.yaml` (another with `--config FILE` or `KASPARRO_CONFIG`), says where records come from. `kasparro
check` lists everything that is wrong with it at once, with file, line and field; `kasparro sample SOURCE` shows what a
source gives; `kasparro config show` shows what is in force. Editors check and complete it by
[configuration.schema.json](../configuration.schema.json) (`kasparro config schema` prints it).

It is YAML 1.2: `no`, `2013-01-01` or `1e3` are what their field needs, mostly text, whether quoted or not. A key given
twice, a field that does not exist and a tab are errors.

`${NAME}` in a value stands for the environment variable NAME, `${NAME:-default}` for the default where NAME is unset or
empty, `$${` for the text `${`. Variables are filled in after parsing, so that no value can change the file's structure.
`NAME_FILE` may name a file with the value instead (mounted secrets). What comes from a variable is in no message or
output. `name`, `type` and `key` are a source's identity and take no variables.
"""
_TARGETS = """\
A *target* says where a field comes from: a plain text is the name of a column, `{expr: ...}` a
[JMESPath](https://jmespath.org/specification.html) expression over the row, `{value: ...}` the same value for every
record. A mapped column that a row does not have rejects the record (`missing_field`), as does a text that is no number
(`invalid_decimal`) or no time (`invalid_time`) where one is needed. Cells are text: ``to_number(distance) > `100` ``
compares numbers, while `distance > '100'` is never true.
"""


def shown_configuration(configuration: Configuration) -> dict[str, Any]:
    """The configuration in force, defaults included, as JSON values; fields with variables as they are written."""
    return {"sources": [_shown_source(source) for source in configuration.sources]}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    schema = Configuration.model_json_schema(mode="validation")
    return {"$schema": _DIALECT, **schema, "title": "kasparro.yaml"}


def json_schema_text() -> str:
    """The text of docs/configuration.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference_text() -> str:
    """The text of docs/reference/configuration.md."""
    sections = [
        _INTRODUCTION,
        _section("The file", Configuration),
        _section("Sources of type `csv`", CsvSourceConfig),
        _section("`map`", RecordMap, _TARGETS),
        _section("`{expr: ...}`", ExpressionTarget),
        _section("`{value: ...}`", ConstantTarget),
        _section("`reject_limit`", RejectLimit),
    ]
    return "\n".join(sections)


def _shown_source(source: CsvSourceConfig) -> dict[str, Any]:
    fields = source.model_dump(mode="json", exclude_none=True)
    for name, written in source.written.items():
        if any("${" in scalar for _, scalar in scalars(written)):
            fields[name] = replace_scalars(written, lambda _, scalar: str(scalar))
    return fields


def _section(title: str, model: type[BaseModel], text: str = "") -> str:
    rows = [_row(name, model) for name in model.model_fields]
    introduction = " ".join((model.__doc__ or "").split())
    table = ["| field | type | default | |", "|---|---|---|---|", *rows]
    return "\n".join([f"## {title}", "", introduction, "", *([text] if text else []), *table, ""])


def _row(name: str, model: type[BaseModel]) -> str:
    field = model.model_fields[name]
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "" if value is None else f"`{_default_text(value)}`"
    description = " ".join((field.description or "").split())
    return f"| `{name}` | {_type_name(field.annotation)} | {default} | {description} |".replace("|  |", "| |")


def _default_text(value: object) -> str:
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"))
    return json.dumps(value)


def _type_name(annotation: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", Decimal: "number", bool: "true or false"}
    if isinstance(annotation, type) and annotation in names:
        return names[cast("type[str]", annotation)]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"names with {_type_name(arguments[1])}"
    if origin in (Union, types.UnionType):
        return _union_name([argument for argument in arguments if argument is not types.NoneType])
    if annotation is RecordMap or annotation is RejectLimit:
        return "mapping, see below"
    return {ExpressionTarget: "expression", ConstantTarget: "constant"}.get(annotation, "mappings, see below")


def _union_name(members: list[Any]) -> str:
    names = [name for name in dict.fromkeys(map(_type_name, members)) if name != "whole number"] or ["whole number"]
    return "target" if names == ["text", "expression", "constant"] else " or ".join(names)
