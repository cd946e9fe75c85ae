"""What models say about their fields, in the text below each, read from their source when somebody asks.

Pydantic would read it for every class that is made (`use_attribute_docstrings`), which takes each command 70 ms; only
`kasparro config schema` and the reference pages want it.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The description of each field that has one, those that are inherited included."""
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        written = _classes(owner.__module__).get(owner.__name__) if issubclass(owner, BaseModel) else None
        for name, text in () if written is None else _fields(written):
            found.pop(name, None)
            if text is not None:
                found[name] = text
    return found


class DescribedJsonSchema(GenerateJsonSchema):
    """Pydantic's JSON Schema with the descriptions: `model_json_schema(schema_generator=DescribedJsonSchema)`."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        properties: dict[str, dict[str, Any]] = described.get("properties", {})
        for name, text in descriptions(schema["cls"]).items():
            if name in properties:
                properties[name]["description"] = text
        return described


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes that a module defines at its top."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _fields(written: ast.ClassDef) -> Iterator[tuple[str, str | None]]:
    """Each annotated name with the text below it."""
    for statement, below in zip(written.body, [*written.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, _text(below)


def _text(statement: ast.stmt | None) -> str | None:
    value = statement.value if isinstance(statement, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return inspect.cleandoc(text) if isinstance(text, str) else None
