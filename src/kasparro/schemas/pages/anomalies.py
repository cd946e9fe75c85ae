"""What is unusual about a run or a source, as parts of bodies."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body

Measure = Literal["volume", "written", "stuck", "unchanged_share", "reject_share", "bytes", "duration", "freshness"]


class Anomaly(Body):
    """One measure of a run that is far from what the source's history lets expect."""

    run_id: int
    measure: Measure = Field(
        description="`volume`: records fetched; `written`: inserted and updated; `stuck`: runs in a row that fetched "
        "exactly as many; `unchanged_share` and `reject_share`: from 0 to 1; `bytes`: read; `duration` and "
        "`freshness` (the time since the success before): seconds."
    )
    expected_low: float = Field(description="The least that was usual.")
    expected_high: float = Field(description="The most that was usual.")
    seen: float
    score: float = Field(description="How many times the usual spread it is off.")
    message: str = Field(description="The same in words.")


class Overdue(Body):
    """By the source's own rhythm, another success should have come by now."""

    last_success_at: datetime
    expected_high: float = Field(description="Seconds that usually pass at most between two successes.")
    seen: float = Field(description="Seconds since the last one.")
    score: float = Field(description="How many times the usual spread it is off.")
    message: str = Field(description="The same in words.")
