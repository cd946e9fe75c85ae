"""Bodies of `/drift`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body, Page

DriftKind = Literal["field_added", "field_missing", "field_renamed", "type_changed", "value_shift"]
DriftState = Literal["open", "accepted", "rejected", "gone"]


class Drift(Body):
    """One way in which payloads differ from the shape that was accepted. Secrets are masked."""

    id: int
    source: str
    kind: DriftKind
    field: str = Field(description="A path such as `properties.mag` or `tags[]`; of a rename `old -> new`.")
    expected: dict[str, Any] = Field(description="How it was, as far as it differs.")
    seen: dict[str, Any] = Field(description="How it is.")
    share: float = Field(description="The part of the records, or values, that is concerned: 0 to 1.")
    confidence: float = Field(description="How sure it is: 0 to 1.")
    parts: dict[str, float] = Field(description="What the confidence is made of: name, type, values, timing.")
    mapped: bool = Field(description="Whether the mapping needs the field.")
    policy: str = Field(description="What is done about it: `accept`, `warn`, `quarantine` or `fail`.")
    first_example: str | None = Field(description="Where it was seen first, and what stood there.")
    last_example: str | None
    state: DriftState = Field(description="`gone`: it is not so any more.")
    run_id: int = Field(description="The run that saw it first.")
    last_run_id: int | None = Field(description="The run that saw it last.")
    created_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None = Field(description="Why it was accepted or rejected.")


class DriftPage(Body):
    """Findings, newest first."""

    data: list[Drift]
    page: Page
    request_id: str
    api_latency_ms: float


class DriftAnswer(Body):
    """One finding."""

    data: Drift
    request_id: str
    api_latency_ms: float
