"""JMESPath expressions (https://jmespath.org/specification.html), compiled once and checked before anything runs."""

from typing import Annotated, Any, Final, cast

import jmespath
from jmespath import exceptions
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_FUNCTIONS: Final = frozenset(cast("dict[str, Any]", Functions.FUNCTION_TABLE))  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]


def compile_expression(expression: str) -> ParsedResult:
    """The compiled expression. Raises ValueError whose message shows the expression with a caret at the fault."""
    try:
        compiled = jmespath.compile(expression)
    except exceptions.EmptyExpressionError:
        raise ValueError("a JMESPath expression cannot be empty") from None
    except exceptions.ParseError as error:
        raise ValueError(_with_caret(expression, _reason(error), error.lex_position)) from None
    for name in _function_names(compiled.parsed):
        if name not in _FUNCTIONS:
            raise ValueError(_with_caret(expression, f"unknown function {name}()", expression.find(name)))
    return compiled


def _checked(expression: str) -> str:
    try:
        compile_expression(expression)
    except ValueError as error:
        raise PydanticCustomError("expression", "{reason}", {"reason": str(error)}) from None
    return expression


Expression = Annotated[str, AfterValidator(_checked)]
"""A JMESPath expression that compiles."""


def _reason(error: exceptions.ParseError) -> str:
    if isinstance(error, exceptions.IncompleteExpressionError):
        return "the expression ends too early"
    if isinstance(error, exceptions.LexerError):
        return str(error.message)
    return f"unexpected {error.token_value!r}" if error.token_value else "the expression ends too early"


def _with_caret(expression: str, reason: str, position: int) -> str:
    line = expression.replace("\n", " ")
    return f"not a JMESPath expression: {reason}\n    {line}\n    {' ' * position}^"


def _function_names(node: Any) -> set[str]:
    names = {str(node["value"])} if node["type"] == "function_expression" else set[str]()
    for child in node.get("children", ()):
        if isinstance(child, dict):
            names |= _function_names(cast("dict[str, Any]", child))
    return names
