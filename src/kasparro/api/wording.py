"""What is wrong with a parameter or a body, in the words of this project rather than those of its libraries."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

from kasparro.schemas.pages.runs import RunRequest

_MEMBERS: Final = tuple(RunRequest.model_fields)
"""Of the one body that there is."""
_OBJECT_EXPECTED: Final = 'expected an object such as {"source": "name"}'
_WORDS: Final[dict[str, str]] = {
    "missing": "must be given",
    "string_type": "expected text",
    "model_attributes_type": _OBJECT_EXPECTED,
    "model_type": _OBJECT_EXPECTED,
    "dict_type": _OBJECT_EXPECTED,
}
_TOLD: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "literal_error": lambda context: f"expected one of {_choices(context['expected'])}",
    "string_too_short": lambda _: "must not be empty",
    "string_pattern_mismatch": lambda context: f"expected text of the form {context['pattern']}",
    "json_invalid": lambda context: f"is no JSON: {context['error']}",
}


def whole_number_expected(lowest: int, highest: int) -> str:
    """What to say where a parameter is no whole number, or none of these."""
    return f"expected a whole number from {lowest} to {highest}"


def told(problem: Mapping[str, Any]) -> str:
    """A problem that Pydantic found. What our own checks found is said in their words."""
    kind = str(problem["type"])
    if kind == "extra_forbidden":
        return _unknown_member(str(problem["loc"][-1]))
    if kind in _TOLD:
        return _TOLD[kind](problem["ctx"])
    return _WORDS.get(kind, str(problem["msg"]))


def _unknown_member(name: str) -> str:
    near = difflib.get_close_matches(name[:100], _MEMBERS, n=1, cutoff=0.5)
    return f'unknown member; did you mean "{near[0]}"?' if near else f"unknown member; known are {', '.join(_MEMBERS)}"


def _choices(expected: str) -> str:
    """Pydantic's `'a', 'b' or 'c'`, as our other messages list them."""
    return expected.replace(" or ", ", ").replace("'", "")
