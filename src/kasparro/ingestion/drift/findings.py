"""What a finding says, and how sure it is."""

from dataclasses import dataclass, field
from typing import Any, Literal

from kasparro.ingestion.drift.tallies import Place

Kind = Literal["field_added", "field_missing", "type_changed", "field_renamed", "value_shift"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between a run's payloads and the accepted shape.

    `share` is the part of the run's records (or values) that is concerned; `confidence` is 0 to 1, and `parts` are what
    it is made of: `name, type, values, timing`. The field of a rename is `old -> new`.
    """

    kind: Kind
    field: str
    expected: dict[str, Any]
    seen: dict[str, Any]
    share: float
    confidence: float
    parts: dict[str, float]
    mapped: bool
    first: Place | None = None
    last: Place | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """One way in which a field's values have shifted; a finding may have several."""

    aspect: str
    expected: Any
    seen: Any
    share: float
    sure: float
    first: Place | None = None
    last: Place | None = None
    type: float = field(default=1.0)


def example_text(place: Place | None) -> str | None:
    """An example as it is stored and shown: where, and what."""
    return None if place is None else f"{place.locator}: {place.text}"
