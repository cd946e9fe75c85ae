"""Bodies of `/runs`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kasparro.schemas.pages.anomalies import Anomaly
from kasparro.schemas.pages.base import Body, Page
from kasparro.schemas.pages.drift import Drift
from kasparro.schemas.pages.quality import QualityVerdict

SourceType = Literal["api", "csv", "rss"]
RunState = Literal[
    "queued", "running", "succeeded", "partial", "failed", "systemic", "interrupted", "cancelled", "paused"
]


class Outcomes(Body):
    """What became of records. Their sum is what was fetched."""

    inserted: int = Field(description="Records that were not there before.")
    updated: int = Field(description="Records that were there, and were different.")
    unchanged: int = Field(description="Records that were there just so.")
    duplicate: int = Field(description="Records whose key had come before in the same pass.")
    rejected: int = Field(description="Records that could not be normalized; they are kept, see `kasparro rejects`.")
    filtered: int = Field(description="Records that the source's `where` left out.")
    deleted: int = Field(description="Records that the source says are gone.")


class RunRecords(Outcomes):
    """What a run did with records."""

    fetched: int = Field(description="Records that the source handed over.")
    raw_written: int = Field(description="Payloads that were stored as they came.")


class RunError(Body):
    """Why a run ended early. Secrets are masked."""

    code: str = Field(description="One of docs/reference/errors.md.")
    message: str


class Run(Body):
    """One run of one source. Its `records` are 0 until it has ended; `/runs/{id}` counts them while it is at work."""

    id: int
    source: str
    source_type: SourceType
    state: RunState = Field(description="`partial` is a success with single records rejected.")
    trigger: str = Field(description="Who asked for it: `cli`, `schedule`, `api`.")
    operation: Literal["requeue", "replay", "backfill"] | None = Field(
        description="What it does other than reading its source on; null: just that."
    )
    queued_at: datetime
    started_at: datetime | None = Field(description="When a process claimed it; null while it is queued.")
    finished_at: datetime | None
    duration_seconds: float | None = Field(description="From its claim to its end.")
    resumes_run_id: int | None = Field(description="The run that died, and whose pass this one goes on with.")
    batches: int = Field(description="Batches that were committed.")
    records: RunRecords
    error: RunError | None


class RunRejects(Body):
    """Rejects of a run with one code, of one field, and the first of them."""

    code: str
    field: str | None
    payloads: int = Field(description="Distinct ones.")
    open: int = Field(description="Those among them that still wait for another try.")
    times: int = Field(description="How often they were seen, in earlier runs too.")
    id: int = Field(description="Of the example, as in `/rejects`.")
    record_key: str | None
    locator: str
    message: str
    raw_id: int


class RunDetail(Run):
    """One run with all that is known of it. `records`, `batches` and what follows grow while it is at work."""

    pass_id: int | None = Field(description="One reading of the source; runs that resume one another share it.")
    code_version: str | None
    config_hash: str | None = Field(description="Of the source's configuration, before secrets are filled in.")
    mapping_version: int | None
    mapping_hash: str | None
    digest: str | None = Field(description="Of the source's live records at its end; equal digests mean equal records.")
    gone: int = Field(description="Records that a complete reading lacked, and that are deleted since.")
    snapshot: str | None = Field(
        description="`compared` with a complete reading, or why not; null where the source declares no snapshots."
    )
    size_bytes: int = Field(description="Bytes that were read.")
    stage_seconds: dict[str, float] = Field(description="Seconds in each stage, summed over lanes that work at once.")
    plan: dict[str, Any] | None = Field(description="What it set out to read.")
    checkpoint_before: dict[str, Any] | None = Field(description="By `partition#lane`: where reading stood before.")
    checkpoint_after: dict[str, Any] | None = Field(description="The same at its end.")
    coverage: dict[str, str] | None = Field(
        description="By partition that its reading has finished how much was read: `full`, `window` (only what was "
        "added), `none` (it was as it was). Null until it has ended, and for operations."
    )
    rejects: list[RunRejects] = Field(
        description="What it was the last run to reject, by code and field, the most frequent first; 50 at most."
    )
    more_rejects: bool = Field(description="There are more kinds than those.")
    drift: list[Drift] = Field(description="Findings that it was the first or is the last to have made; 100 at most.")
    quality: list[QualityVerdict] = Field(description="What the source's checks said at its end.")
    anomalies: list[Anomaly] = Field(description="In what it is unusual for its source.")


class RunPage(Body):
    """Runs, newest first."""

    data: list[Run]
    page: Page
    request_id: str
    api_latency_ms: float


class RunAnswer(Body):
    """One run."""

    data: RunDetail
    request_id: str
    api_latency_ms: float


class RequestedRuns(Body):
    """The runs that were asked for: queued, or in the state they have reached."""

    data: list[Run]
    request_id: str
    api_latency_ms: float


class RunRequest(BaseModel):
    """Which source to run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = Field(default=None, description="A source's name; null or left out: every source.")
