"""Bodies of `/sources`."""

from datetime import datetime

from pydantic import Field

from kasparro.schemas.pages.base import Body, Page
from kasparro.schemas.pages.health import LastRun
from kasparro.schemas.pages.runs import SourceType


class Source(Body):
    """A source that the database knows: it was run, or a scheduler has it in its configuration."""

    name: str
    type: SourceType
    key: list[str] | None = Field(description="What makes a record's key; null: the type's own rule.")
    digest: str = Field(description="Of its live records; equal digests mean equal records.")
    circuit_state: str = Field(description="`closed` lets requests through.")
    created_at: datetime
    last_success_at: datetime | None
    last_run: LastRun | None = Field(description="The latest, whatever became of it.")


class SourcePage(Body):
    """Sources, by name."""

    data: list[Source]
    page: Page
    request_id: str
    api_latency_ms: float


class SourceAnswer(Body):
    """One source."""

    data: Source
    request_id: str
    api_latency_ms: float
