"""Bodies of `/sources`."""

from datetime import datetime
from typing import Literal

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
    circuit_state: str = Field(description="`open`: two runs or more in a row have failed; `half_open`: one tries it.")
    created_at: datetime
    last_success_at: datetime | None
    last_run: LastRun | None = Field(description="The latest, whatever became of it.")


class LiveMapping(Body):
    """A version of the mapping, and how many live records it has made."""

    id: int
    hash: str
    created_at: datetime
    is_current: bool = Field(description="Whether the source was last read, or replayed, by it.")
    records: int
    records_kind: Literal["exact", "estimated"] = Field(
        description="Of a source with more than 20,000 records in a large table the number is drawn from a sample, in "
        "which a few records may be missing."
    )


class SourceDetail(Source):
    """One source, with the mappings that have live records, or may have, where their number is estimated."""

    mappings: list[LiveMapping]


class SourcePage(Body):
    """Sources, by name."""

    data: list[Source]
    page: Page
    request_id: str
    api_latency_ms: float


class SourceAnswer(Body):
    """One source."""

    data: SourceDetail
    request_id: str
    api_latency_ms: float
