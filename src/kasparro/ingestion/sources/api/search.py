"""JMESPath over pages and records; dotted plain names are direct look-ups."""

import re
from typing import Any, Final, cast

from kasparro.core.errors import SourceError
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class Search:
    """A compiled expression; shown as it was written."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._names = expression.split(".") if _PLAIN.fullmatch(expression) else None
        self._compiled = compile_expression(expression)

    def __str__(self) -> str:
        return repr(self._expression)

    def __call__(self, value: Any, url: str) -> Any:
        """The result; None where there is none. Raises SourceError that names `url` when it cannot be evaluated."""
        if self._names is not None:
            return _at(value, self._names)
        try:
            return evaluate(self._compiled, value)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise SourceError(f"{url}: {self} cannot be evaluated: {reason}") from None

    def stands_in(self, value: Any) -> bool:
        """Whether a path of plain names is there, be it null; for other expressions it cannot be told: False."""
        if self._names is None:
            return False
        parent = _at(value, self._names[:-1])
        return isinstance(parent, dict) and self._names[-1] in parent


def _at(value: Any, names: list[str]) -> Any:
    for name in names:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(name)
    return value
