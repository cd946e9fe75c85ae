"""Pydantic's errors as problems of the file: at a line and column, in its own words, with the nearest valid name."""

import re
import types
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from kasparro.schemas.configuration.choice import is_typed, tag_of, type_of
from kasparro.schemas.configuration.document import Document, Path
from kasparro.schemas.configuration.mapping import MEMBER_TAGS
from kasparro.schemas.configuration.nearest import nearest

_VALUE_FREE: Final = ("extra_forbidden", "missing", "model_type")
_SOURCE_DEPTH: Final = 2
_MESSAGES: Final = {
    "missing": "required, but missing",
    "string_type": "must be text",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
}


def describe(
    errors: Iterable[ErrorDetails], parsed: Document, used: Mapping[Path, tuple[str, ...]], model: type[BaseModel]
) -> None:
    """Add each error to the document's findings. What came from a variable is never shown, only the variable's name."""
    located = [(_place(model, _location(error)), error) for error in errors]
    known = {finding.path for finding in parsed.findings}
    for place, error in located:
        path = place.path
        hidden = _variables_below(path, used) if error["type"] not in _VALUE_FREE else ()
        if path in known or _is_echo(path, error, located):
            continue
        if hidden:
            fault = "is empty" if error["input"] == "" else "has an unusable value"
            parsed.find(path, f"{fault} (it comes from {', '.join(hidden)})")
        else:
            parsed.find(path, _message(error, place))


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the document; what the mapping around it is, and what it might be by another `type`."""

    path: Path
    around: Sequence[type[BaseModel]]
    by_type: Sequence[type[BaseModel]]


def _location(error: ErrorDetails) -> Path:
    return error["loc"][:-1] if _is_no_target(error) else error["loc"]


def _place(model: type[BaseModel], location: Path) -> _Place:
    """Where Pydantic's location lies: it also names union members, which are ours and in angle brackets."""
    path: list[str | int] = []
    around = by_type = models = siblings = [model]
    for element in location:
        chosen = [each for each in models if is_typed(each) and tag_of(each) == element]
        if chosen:
            models = chosen
        elif element not in MEMBER_TAGS:
            path.append(element)
            if isinstance(element, str):
                around, by_type = models, siblings
                models = siblings = _models_below(models, element) or models
    return _Place(tuple(path), around, by_type)


def _is_no_target(error: ErrorDetails) -> bool:
    """Neither a column's name nor an expression nor a constant."""
    location = error["loc"]
    return location[-1:] == ("<expr>",) or (error["type"] == "missing" and location[-2:] == ("<expr>", "expr"))


def _variables_below(path: Path, used: Mapping[Path, tuple[str, ...]]) -> list[str]:
    """Names of the variables in a value, or in the text that it is a part of.

    Messages about a whole source show no values, so these do not count.
    """
    if path in used:
        return list(used[path])
    if len(path) <= _SOURCE_DEPTH:
        return []
    length = len(path)
    return [name for place, names in used.items() if place[:length] == path[: len(place)] for name in names]


def _is_echo(path: Path, error: ErrorDetails, located: Sequence[tuple[_Place, ErrorDetails]]) -> bool:
    """A list that is too short only because its items failed."""
    return error["type"] == "too_short" and any(
        other.path[: len(path)] == path and other.path != path for other, _ in located
    )


def _message(error: ErrorDetails, place: _Place) -> str:
    kind, context, given, path = error["type"], error.get("ctx", {}), error["input"], place.path
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), place)
    if _is_no_target(error):
        plain = "a column's name" if "<csv>" in error["loc"] else "a path"
        return f"must be {plain}, {{expr: JMESPath}} or {{value: constant}}"
    if kind == "missing" and path[-1] == "type":
        return f"required, but missing; known are {', '.join(map(type_of, place.by_type))}"
    if kind == "literal_error" and path[-1] == "type":
        return _unknown_type(str(given), [type_of(each) for each in place.by_type], path)
    if kind == "literal_error":
        return _not_among(str(given), str(context["expected"]))
    if kind == "string_pattern_mismatch":
        return f'"{given}" is not a valid name: small letters, digits, - and _, beginning with a letter, at most 63'
    if kind in ("string_type", "constant") and given is None:
        return 'is empty; write "" for the empty text, or "null" for the text'
    if kind == "value_error":
        return _judged(str(context["error"]), given, path)
    if kind == "too_short":
        return "must not be empty"
    return _MESSAGES.get(kind) or re.sub(r"^\w+ should", "must", error["msg"])


def _judged(reason: str, given: object, path: Path) -> str:
    if path and path[-1] == "timezone":
        return f'"{given}" is {reason}{nearest(str(given), zoneinfo.available_timezones())}'
    return f'"{given}" is {reason}' if reason.startswith("not ") else reason


def _unknown(name: str, place: _Place) -> str:
    names = list(dict.fromkeys(name for owner in place.around for name in owner.model_fields))
    others = [type_of(owner) for owner in place.by_type if is_typed(owner) and name in owner.model_fields]
    if others:
        return f"belongs to type{'s' * (len(others) > 1)} {' and '.join(others)}, not to {type_of(place.around[0])}"
    hint = nearest(name, names)
    return f"unknown field{hint}" if hint or not names else f"unknown field; known are {', '.join(names)}"


def _unknown_type(given: str, names: Sequence[str], path: Path) -> str:
    known = ", ".join(names)
    if len(path) == _SOURCE_DEPTH + 1:
        return f'unknown source type "{given}"; this version reads {known}{nearest(given, names)}'
    return f'unknown type "{given}"; known are {known}{nearest(given, names)}'


def _not_among(given: str, expected: str) -> str:
    names = re.findall(r"'([^']*)'", expected)
    return f'must be {" or ".join(repr(name) for name in names)}, not "{given}"{nearest(given, names)}'


def _models_below(models: Sequence[type[BaseModel]], field: str) -> list[type[BaseModel]]:
    """What may stand in this field of any of the models."""
    annotations = [owner.model_fields[field].annotation for owner in models if field in owner.model_fields]
    return list(dict.fromkeys(found for annotation in annotations for found in _models_in(annotation)))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list, dict):
        return [found for argument in get_args(annotation) for found in _models_in(argument)]
    return cast("list[type[BaseModel]]", [])
