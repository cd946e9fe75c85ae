"""JMESPath's functions, with exact decimals for floats, and those that a mapping needs besides.

`split(text, separator)`, `replace(text, old, new)`, `regex(text, pattern)`, `lower(text)`, `decimal(text)` and
`parse_time(text, format)`, which also reads numbers of seconds or milliseconds since 1970. All give null for null.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from jmespath.functions import Functions, signature

from kasparro.schemas.readings import Defective, decimal_reading

_MICROSECONDS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1000}
_MAX_MAGNITUDE: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_read_decimal = decimal_reading(frozenset(("",)))


def _since_1970(number: Decimal | None, microseconds: int) -> str | None:
    """A number of units since 1970 as ISO 8601; what is below a microsecond is cut off. Raises OverflowError."""
    if number is None:
        return None
    if number.adjusted() > _MAX_MAGNITUDE:
        raise OverflowError(f"{number} is no time: it has too many digits")
    return (_EPOCH + timedelta(microseconds=int(number * microseconds))).isoformat()


class HouseFunctions(Functions):
    """Functions over rows. They raise ValueError for arguments that they cannot use."""

    @signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_split(self, text: str | None, separator: str) -> list[str] | None:
        return None if text is None else text.split(separator)

    @signature({"types": ["string", "null"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str | None, old: str, new: str) -> str | None:
        return None if text is None else text.replace(old, new)

    @signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_regex(self, text: str | None, pattern: str) -> str | None:
        """The first group of the first match, or all of the match without a group; null when there is no match."""
        try:
            match = None if text is None else re.search(pattern, text)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return None if match is None else match[1 if match.re.groups else 0]

    @signature({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return None if text is None else text.lower()

    @signature({"types": ["string", "number", "null"]})
    def _func_decimal(self, value: Any) -> Decimal | None:
        """The exact number; null for an empty text. Fails for any other text that is no number."""
        try:
            return None if value is None else _read_decimal(value)
        except Defective as defective:
            raise ValueError(defective.message) from None

    @signature({"types": ["string", "number", "null"]}, {"types": ["string"]})
    def _func_parse_time(self, value: Any, time_format: str) -> str | None:
        """The time in ISO 8601, read by a format as of Python's strptime, or as a number, in UTC, with the format
        `epoch_s` or `epoch_ms`; null for an empty text."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if time_format in _MICROSECONDS:
            return _since_1970(self._func_decimal(value), _MICROSECONDS[time_format])
        if not isinstance(value, str):
            raise ValueError(f"{value} is a number: its format is epoch_s or epoch_ms")
        return datetime.strptime(value.strip(), time_format).isoformat()  # noqa: DTZ007

    @signature({"types": []})
    def _func_to_number(self, value: Any) -> Any:
        """JMESPath's own, but exact: null for what is no number."""
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            return None
        try:
            return _read_decimal(value) if isinstance(value, str) else value
        except Defective:
            return None

    def _get_allowed_pytypes(self, types: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        """A Decimal is a number wherever a float is."""
        allowed, subtypes = super()._get_allowed_pytypes(types)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        exact = ["Decimal"] if "float" in allowed else []
        return [*allowed, *exact], [(*each, "Decimal") if "float" in each else each for each in subtypes]  # pyright: ignore[reportUnknownVariableType]

    def _convert_to_jmespath_type(self, python_type: str) -> str:
        if python_type == "Decimal":
            return "number"
        return str(super()._convert_to_jmespath_type(python_type))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]

    @signature({"types": []})
    def _func_type(self, value: Any) -> str:
        return self._convert_to_jmespath_type(type(value).__name__)

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> str:
        return str(value) if isinstance(value, Decimal) else str(super()._func_to_string(value))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
