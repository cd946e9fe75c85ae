"""What is wrong with a parameter or a body, in the words of this project rather than those of its libraries."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kasparro.schemas.pages.rejects import RequeueRequest
from kasparro.schemas.pages.runs import RunRequest

_MEMBERS: Final = {"/runs": tuple(RunRequest.model_fields), "/rejects/requeue": tuple(RequeueRequest.model_fields)}
"""Of the bodies that there are."""
_OBJECT_EXPECTED: Final = 'expected an object such as {"source": "name"}'
_WORDS: Final[dict[str, str]] = {
    "missing": "must be given",
    "string_type": "expected text",
    "model_attributes_type": _OBJECT_EXPECTED,
    "model_type": _OBJECT_EXPECTED,
    "dict_type": _OBJECT_EXPECTED,
    "list_type": "expected a list",
    "int_type": "expected a whole number",
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


def told(problem: Mapping[str, Any], path: str) -> str:
    """A problem that Pydantic found in a request to this path. What our own checks found is said in their words."""
    kind = str(problem["type"])
    if kind == "extra_forbidden":
        return _unknown_member(str(problem["loc"][-1]), _MEMBERS[path])
    if kind in _TOLD:
        return _TOLD[kind](problem["ctx"])
    return _WORDS.get(kind, str(problem["msg"]))


def _unknown_member(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f'unknown member; did you mean "{near[0]}"?' if near else f"unknown member; known are {', '.join(known)}"


def _choices(expected: str) -> str:
    """Pydantic's `'a', 'b' or 'c'`, as our other messages list them."""
    return expected.replace(" or ", ", ").replace("'", "")
