"""Body of `/stats`."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from kasparro.schemas.pages.anomalies import Anomaly, Overdue
from kasparro.schemas.pages.base import Body
from kasparro.schemas.pages.runs import Outcomes, SourceType


class RunCounts(Body):
    """Runs by state: those that have ended since the database was made, and those that are not at their end."""

    ended: int = Field(description="Runs that have ended; the sum of the states below.")
    succeeded: int = Field(description="Runs that loaded everything.")
    partial: int = Field(description="Runs that succeeded, with single records rejected.")
    failed: int = Field(description="Runs that an error ended.")
    systemic: int = Field(description="Runs that were ended because too many records of a batch were rejected.")
    interrupted: int = Field(description="Runs that died; another run goes on with their pass.")
    cancelled: int = Field(description="Runs that were stopped; the next run goes on with their pass.")
    paused: int = Field(description="Runs that used up a quota, and are resumed later.")
    queued: int = Field(description="Runs that wait for a scheduler, now.")
    running: int = Field(description="Runs at work, now; one whose process died is among them until the next begins.")


class RecordCounts(Outcomes):
    """Records by outcome, over all runs that have ended."""

    processed: int = Field(description="Records that were fetched: the sum of all outcomes.")


class RunDurations(Body):
    """Seconds from claim to end of the latest 100 runs of each source that ended by themselves; null without any."""

    runs: int = Field(description="How many runs this is about.")
    last: float | None = Field(description="Of the one that ended last.")
    mean: float | None
    p50: float | None = Field(description="Half of the runs took no longer.")
    p95: float | None = Field(description="95 of 100 runs took no longer.")
    max: float | None


class LastSuccess(Body):
    """The latest run that succeeded (`succeeded` or `partial`)."""

    run_id: int
    source: str
    finished_at: datetime


class LastFailure(Body):
    """The latest run that failed (`failed` or `systemic`), whether or not a later one succeeded."""

    run_id: int
    source: str
    finished_at: datetime
    state: Literal["failed", "systemic"]
    code: str | None = Field(description="The error's code, one of docs/reference/errors.md.")
    reason: str | None = Field(description="What happened; secrets are masked.")


class Totals(Body):
    """What runs did, of one source or of all together."""

    runs: RunCounts
    records: RecordCounts
    duration_seconds: RunDurations
    last_success: LastSuccess | None
    last_failure: LastFailure | None


class SourceTotals(Totals):
    """What the runs of one source did."""

    name: str
    type: SourceType
    anomalies: list[Anomaly] = Field(
        description="What is unusual about its latest run that reached its end, by the source's own history."
    )
    overdue: Overdue | None = Field(description="Set where its own rhythm lets expect another success by now.")


class StatsData(Body):
    """Of all sources together, and of each by name."""

    all: Totals
    sources: list[SourceTotals]


class StatsAnswer(Body):
    """What runs did. Counters are kept by the runs themselves, so they are true whichever process ran them."""

    data: StatsData
    request_id: str
    api_latency_ms: float
