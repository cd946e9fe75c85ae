"""JSON text of values in which numbers are Decimals, each written as it came."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast


class Written(str):  # noqa: SLOT000 - a variable-sized type has no slots
    """A value that is JSON text already."""


def parse(text: str) -> Any:
    """The value of JSON text; numbers with a fraction or an exponent are Decimals."""
    return json.loads(text, parse_float=Decimal)


def write(value: Any) -> str:
    """The text of a value made of what `parse` gives, of `Written` and of times, which become RFC 3339 in UTC."""
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return f'"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"'
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value).items()
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{write(item)}" for name, item in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(write, cast("list[Any]", value))) + "]"
    return json.dumps(value, ensure_ascii=False)
