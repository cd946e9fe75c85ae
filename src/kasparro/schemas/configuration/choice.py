"""Which model a mapping with a `type` field is meant for, also where that field is missing or misspelt.

So every problem of a mapping is found at once, and not only that its type is unknown.
"""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, cast, get_args

from pydantic import BaseModel


def is_typed(model: type[BaseModel]) -> bool:
    """Whether the model is one of several that are told apart by `type`."""
    return "type" in model.model_fields


def type_of(model: type[BaseModel]) -> str:
    """The one value of a model's `type` field."""
    return str(get_args(model.model_fields["type"].annotation)[0])


def tag_of(model: type[BaseModel]) -> str:
    """The name of the model in a union: what Pydantic puts into the locations of its errors."""
    return f"<{type_of(model)}>"


def by_type(*models: type[BaseModel]) -> Callable[[Any], str]:
    """A discriminator between these models: by `type`, else the nearest name, else the model with most of the fields.

    Where nothing points to one, it is the first.
    """
    by_name = {type_of(model): model for model in models}

    def choose(value: Any) -> str:
        given = cast("dict[str, Any]", value) if isinstance(value, dict) else {"type": getattr(value, "type", "")}
        near = get_close_matches(str(given.get("type", "")).casefold(), by_name, n=1, cutoff=0.6)
        if near:
            return tag_of(by_name[near[0]])
        return tag_of(max(models, key=lambda model: len(given.keys() & model.model_fields.keys())))

    return choose
