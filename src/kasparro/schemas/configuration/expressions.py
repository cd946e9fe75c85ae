"""JMESPath expressions (https://jmespath.org/specification.html), compiled once and checked before anything runs."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, cast

import jmespath
from jmespath import exceptions
from jmespath.parser import ParsedResult
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.functions import HouseFunctions
from kasparro.schemas.configuration.nearest import nearest

_FROM_LEFT: Final = frozenset(
    ("subexpression", "index_expression", "projection", "filter_projection", "value_projection", "flatten", "pipe")
)
"""Nodes of a parsed expression whose first child is what is looked up in the value itself."""
_FUNCTIONS: Final = cast("dict[str, Any]", HouseFunctions.FUNCTION_TABLE)


def compile_expression(expression: str) -> ParsedResult:
    """The compiled expression. Raises ValueError whose message shows the expression with a caret at the fault."""
    try:
        compiled = jmespath.compile(expression)
    except exceptions.EmptyExpressionError:
        raise ValueError("a JMESPath expression cannot be empty") from None
    except exceptions.ParseError as error:
        raise ValueError(_with_caret(expression, _reason(error), error.lex_position)) from None
    for name, arguments in _calls(compiled.parsed):
        if reason := _wrong_call(name, arguments):
            raise ValueError(_with_caret(expression, reason, expression.find(name)))
    return compiled


def evaluate(compiled: ParsedResult, payload: Any) -> Any:
    """The expression's result. Raises ValueError, TypeError, ArithmeticError, LookupError or RecursionError."""
    return compiled.search(payload, options=jmespath.Options(custom_functions=HouseFunctions()))


def first_name(expression: str) -> str | None:
    """The name that a path such as `a.b` or `a[0]` begins with; None for any other expression."""
    node: Any = compile_expression(expression).parsed
    while node["type"] in _FROM_LEFT:
        node = node["children"][0]
    return str(node["value"]) if node["type"] == "field" else None


def path_names(path: str) -> tuple[str, ...] | None:
    """The names that a path such as `a."b-c".d` is made of; None for any other expression."""
    return _names(compile_expression(path).parsed)


def first_of(expression: str) -> tuple[str, ...] | None:
    """The names that `not_null(a, "b c")` takes the first value of; None for any other expression."""
    paths = first_paths(expression)
    return None if paths is None or any(len(names) > 1 for names in paths) else tuple(names[0] for names in paths)


def first_paths(expression: str) -> tuple[tuple[str, ...], ...] | None:
    """The same for paths: the names of each, as `path_names` gives them."""
    node: Any = compile_expression(expression).parsed
    if node["type"] != "function_expression" or node["value"] != "not_null":
        return None
    paths = tuple(names for child in node["children"] if (names := _names(child)) is not None)
    return paths if len(paths) == len(node["children"]) else None


def _names(node: Any) -> tuple[str, ...] | None:
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] != "subexpression":
        return None
    parts = [_names(child) for child in node["children"]]
    return None if None in parts else tuple(name for part in parts for name in part or ())


def _checked(expression: str) -> str:
    try:
        compile_expression(expression)
    except ValueError as error:
        raise PydanticCustomError("expression", "{reason}", {"reason": str(error)}) from None
    return expression


def _checked_path(expression: str) -> str:
    try:
        compile_expression(expression)
    except ValueError as error:
        hint = "\n    (names of other than letters, digits and _ stand in double quotes)" if expression.strip() else ""
        raise PydanticCustomError("expression", "{reason}", {"reason": f"{error}{hint}"}) from None
    return expression


Expression = Annotated[str, AfterValidator(_checked)]
"""A JMESPath expression that compiles."""
JsonPath = Annotated[str, AfterValidator(_checked_path)]
"""A JMESPath expression where a plain text stands for a value of a JSON record, mostly a name or names with dots."""


def _reason(error: exceptions.ParseError) -> str:
    if isinstance(error, exceptions.IncompleteExpressionError):
        return "the expression ends too early"
    if isinstance(error, exceptions.LexerError):
        return str(error.message)
    return f"unexpected {error.token_value!r}" if error.token_value else "the expression ends too early"


def _with_caret(expression: str, reason: str, position: int) -> str:
    line = expression.replace("\n", " ")
    return f"not a JMESPath expression: {reason}\n    {line}\n    {' ' * position}^"


def _calls(node: Any) -> Iterator[tuple[str, int]]:
    """Name and number of arguments of every function call in a parsed expression."""
    children = [cast("dict[str, Any]", child) for child in node.get("children", ()) if isinstance(child, dict)]
    if node["type"] == "function_expression":
        yield str(node["value"]), len(children)
    for child in children:
        yield from _calls(child)


def _wrong_call(name: str, arguments: int) -> str | None:
    if name not in _FUNCTIONS:
        return f"unknown function {name}(){nearest(name, _FUNCTIONS)}"
    signature = _FUNCTIONS[name]["signature"]
    is_variadic = bool(signature and signature[-1].get("variadic"))
    if arguments == len(signature) or (is_variadic and arguments >= len(signature)):
        return None
    plural = "s" if is_variadic or len(signature) != 1 else ""
    wanted = f"{len(signature)}{' or more' if is_variadic else ''} argument{plural}"
    return f"{name}() takes {wanted}, not {arguments}"
