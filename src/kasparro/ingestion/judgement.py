"""What Pydantic finds wrong with a unified record, as defects with the house's codes."""

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kasparro.ingestion.source import Defect
from kasparro.schemas.readings import shown

_CODES: Final = {"value": "invalid_decimal", "occurred_at": "invalid_time", "attributes": "invalid_attributes"}
_REASONS: Final = {"string_type": "must be text", "string_too_short": "must not be empty"}


def defects_of(error: ValidationError) -> tuple[Defect, ...]:
    """One defect for each error, in the order of the model's fields; messages show at most 100 characters of input."""
    return tuple(_defect(details) for details in error.errors(include_url=False, include_context=False))


def _defect(details: ErrorDetails) -> Defect:
    name = str(details["loc"][0]) if details["loc"] else None
    reason = _REASONS.get(details["type"]) or details["msg"].removeprefix("Value error, ").replace(
        "Input should", "must"
    )
    code = _CODES.get(name or "", "invalid_text")
    if "longer than" in reason:
        code = "too_long"
    elif details["type"] == "extra_forbidden":
        code = "unknown_field"
    return Defect(code, f'"{shown(details["input"])}" {reason}', name)
