"""How a value is taken out of a payload: by a path, compiled to look-ups where it is made of names, or by JMESPath."""

from collections.abc import Callable
from typing import Any, cast

from kasparro.ingestion.source import Payload
from kasparro.schemas.configuration.expressions import compile_expression, evaluate
from kasparro.schemas.readings import Defective, shown

Getter = Callable[[Payload], Any]
"""One field's value, None where there is none. Raises KeyError for a missing column, or Defective."""


def compile_path(path: str) -> Getter:
    """The function that gives the value at a JMESPath: `id` and `a.b` by look-ups, all else by evaluation."""
    names = path_names(path)
    if names is None:
        return compile_search(path)
    if len(names) == 1:
        return lambda payload, name=names[0]: payload.get(name)

    def look_up(payload: Payload) -> Any:
        value: Any = payload
        for name in names:
            if not isinstance(value, dict):
                return None
            value = cast("Payload", value).get(name)
        return value

    return look_up


def compile_search(expression: str) -> Getter:
    """The function that gives an expression's result over a payload. Raises Defective where it cannot be evaluated."""
    compiled = compile_expression(expression)

    def search(payload: Payload) -> Any:
        try:
            return evaluate(compiled, payload)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise Defective("expression_failed", f"{shown(expression)}: {shown(reason)}") from None

    return search


def path_names(path: str) -> tuple[str, ...] | None:
    """The names that a path such as `a."b-c".d` is made of; None for any other expression."""
    return _names(compile_expression(path).parsed)


def _names(node: Any) -> tuple[str, ...] | None:
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] != "subexpression":
        return None
    parts = [_names(child) for child in node["children"]]
    return None if None in parts else tuple(name for part in parts for name in part or ())
