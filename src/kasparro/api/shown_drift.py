"""A finding of drift as the API shows it."""

from typing import Any, Final, cast

from kasparro.core.masking import mask_text
from kasparro.schemas.pages.drift import Drift
from kasparro.services.drift import DriftEvent

_SAID: Final = ("expected", "seen", "first_example", "last_example", "reason")
"""What payloads or people have said."""


def shown_drift(finding: DriftEvent) -> Drift:
    """The finding as the API shows it: without secrets."""
    fields = {name: getattr(finding, name) for name in Drift.model_fields}
    return Drift.model_validate({**fields, **{name: _masked(fields[name]) for name in _SAID}})


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {mask_text(name): _masked(item) for name, item in cast("dict[str, Any]", value).items()}
    return list(map(_masked, cast("list[Any]", value))) if isinstance(value, list) else value
