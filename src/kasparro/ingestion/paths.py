"""How a value is taken out of a payload: by a path, compiled to look-ups where it is made of names, or by JMESPath."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from kasparro.ingestion.source import Payload
from kasparro.schemas.configuration.expressions import compile_expression, evaluate, first_paths, path_names
from kasparro.schemas.readings import Defective, shown

Getter = Callable[[Payload], Any]
"""One field's value, None where there is none. Raises KeyError for a missing column, or Defective."""
ColumnGetter = Callable[[Sequence[Payload]], list[Any]]
"""One field's values in many payloads. Raises what a Getter raises, as soon as one payload is at fault."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look-up in one payload, and the same in many at once. `path` are the names that lead there, if that is all."""

    one: Getter
    many: ColumnGetter
    path: tuple[str, ...] | None = None


def look_by(getter: Getter) -> Look:
    """For what is looked up payload by payload."""
    return Look(getter, lambda payloads: list(map(getter, payloads)))


def compile_path(path: str) -> Getter:
    """The function that gives the value at a JMESPath: `id` and `a.b` by look-ups, all else by evaluation."""
    return look_at(path).one


def look_at(path: str) -> Look:
    """As `compile_path`, for one payload and for many."""
    names = path_names(path)
    return look_through(path) if names is None else _by_names(names)


def look_through(expression: str) -> Look:
    """The result of an expression; `not_null` over paths of names is made of look-ups."""
    paths = first_paths(expression)
    return look_by(compile_search(expression)) if paths is None else _first_of([_by_names(names) for names in paths])


def _first_of(looks: Sequence[Look]) -> Look:
    """The first that is not null."""
    getters = [look.one for look in looks]

    def one(payload: Payload) -> Any:
        return next((value for getter in getters if (value := getter(payload)) is not None), None)

    def many(payloads: Sequence[Payload]) -> list[Any]:
        values = looks[0].many(payloads)
        for look in looks[1:]:
            if None not in values:
                break
            others = look.many(payloads)
            values = [other if value is None else value for value, other in zip(values, others, strict=True)]
        return values

    return Look(one, many)


def _by_names(names: tuple[str, ...]) -> Look:
    def one(payload: Payload) -> Any:
        value: Any = payload
        for name in names:
            if not isinstance(value, dict):
                return None
            value = cast("Payload", value).get(name)
        return value

    def many(payloads: Sequence[Payload]) -> list[Any]:
        values: list[Any] = [payload.get(names[0]) for payload in payloads]
        for name in names[1:]:
            values = [cast("Payload", value).get(name) if isinstance(value, dict) else None for value in values]
        return values

    return Look((lambda payload, name=names[0]: payload.get(name)) if len(names) == 1 else one, many, names)


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
