"""Pydantic's errors as problems of the file: at a line and column, in its own words, with the nearest valid name."""

import re
import types
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

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
    "dict_type": "must be a mapping of names to targets",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
}


def describe(
    errors: Iterable[ErrorDetails], parsed: Document, used: Mapping[Path, tuple[str, ...]], model: type[BaseModel]
) -> None:
    """Add each error to the document's findings. What came from a variable is never shown, only the variable's name."""
    located = [(_path(error), error) for error in errors]
    known = {finding.path for finding in parsed.findings}
    for path, error in located:
        hidden = _variables_below(path, used) if error["type"] not in _VALUE_FREE else ()
        if path in known or _is_echo(path, error, located):
            continue
        if hidden:
            parsed.find(path, f"has an unusable value (it comes from {', '.join(hidden)})")
        else:
            parsed.find(path, _message(error, path, model))


def _path(error: ErrorDetails) -> Path:
    """The error's place in the document: Pydantic also names union members, which are ours and in angle brackets."""
    location = error["loc"][:-1] if _is_no_target(error) else error["loc"]
    return tuple(element for element in location if element not in MEMBER_TAGS)


def _is_no_target(error: ErrorDetails) -> bool:
    """Neither a column's name nor an expression nor a constant."""
    location = error["loc"]
    return location[-1:] == ("<expr>",) or (error["type"] == "missing" and location[-2:] == ("<expr>", "expr"))


def _variables_below(path: Path, used: Mapping[Path, tuple[str, ...]]) -> list[str]:
    """Names of the variables in a value. Messages about a whole source show no values, so these do not count."""
    if path in used:
        return list(used[path])
    if len(path) <= _SOURCE_DEPTH:
        return []
    return [name for place, names in used.items() if place[: len(path)] == path for name in names]


def _is_echo(path: Path, error: ErrorDetails, located: Sequence[tuple[Path, ErrorDetails]]) -> bool:
    """A list that is too short only because its items failed."""
    return error["type"] == "too_short" and any(other[: len(path)] == path and other != path for other, _ in located)


def _message(error: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), fields_at(model, path[:-1]))
    if _is_no_target(error):
        return "must be a column's name, {expr: JMESPath} or {value: constant}"
    if kind == "literal_error":
        return _not_among(str(given), str(context["expected"]), path)
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


def _unknown(name: str, names: Sequence[str]) -> str:
    hint = nearest(name, names)
    return f"unknown field{hint}" if hint or not names else f"unknown field; known are {', '.join(names)}"


def _not_among(given: str, expected: str, path: Path) -> str:
    names = re.findall(r"'([^']*)'", expected)
    if path[-1] == "type":
        return f'unknown source type "{given}"; this version reads {", ".join(names)}{nearest(given, names)}'
    return f'must be {" or ".join(repr(name) for name in names)}, not "{given}"{nearest(given, names)}'


def fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """The names of the fields that a mapping at `path` may have."""
    models: list[type[BaseModel]] = [model]
    for element in path:
        if isinstance(element, int):
            continue
        annotations = [owner.model_fields[element].annotation for owner in models if element in owner.model_fields]
        models = [found for annotation in annotations for found in _models_in(annotation)] or models
    return list(dict.fromkeys(name for owner in models for name in owner.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list, dict):
        return [found for argument in get_args(annotation) for found in _models_in(argument)]
    return cast("list[type[BaseModel]]", [])
