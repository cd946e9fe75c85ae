"""What is known of a run when it is judged, and what the judgement says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Measure = Literal["volume", "written", "stuck", "unchanged_share", "reject_share", "bytes", "duration", "freshness"]
MEASURES: Final[tuple[Measure, ...]] = (
    "volume", "written", "stuck", "unchanged_share", "reject_share", "bytes", "duration", "freshness",
)  # fmt: skip
"""In the order in which they are told."""
SUCCESSES: Final = frozenset({"succeeded", "partial"})


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One closed run, as far as anomalies depend on it. Times are in UTC."""

    id: int
    state: str
    started_at: datetime
    finished_at: datetime
    pass_id: int
    resumes_run_id: int | None = None
    operation: str | None = None
    """None for an ordinary run; others are no part of a source's history."""
    full: bool = False
    """It began with nothing behind it, or was asked to read everything again."""
    mapping_version: int | None = None
    config_hash: str | None = None
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    size_bytes: int = 0

    @property
    def written(self) -> int:
        return self.inserted + self.updated

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One measure of a run that is outside of what was usual; `score` is how many times the usual spread it is off."""

    measure: Measure
    expected_low: float
    expected_high: float
    seen: float
    score: float
    message: str
