"""A source's history as pieces of work: what one reading did, whether by one run or by several that died."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kasparro.services.anomalies.facts import SUCCESSES, RunFacts
from kasparro.services.anomalies.robust import median


@dataclass(frozen=True, slots=True)
class Work:
    """A run that came to its end, with what earlier runs of its pass had done; `gap_seconds`: since the one before."""

    run: RunFacts
    resumed: bool
    gap_seconds: float | None

    @property
    def began(self) -> datetime:
        """When the run that ended it began."""
        return self.run.started_at


def works(runs: Sequence[RunFacts]) -> list[Work]:
    """The works of ordinary runs, oldest first. A pass whose beginning is not among the runs is left out."""
    ordinary = sorted((run for run in runs if run.operation is None), key=lambda run: (run.started_at, run.id))
    found = list[Work]()
    parts = dict[int, RunFacts]()
    last_success: datetime | None = None
    for run in ordinary:
        known = run.resumes_run_id is None or run.pass_id in parts
        whole = _joined(parts[run.pass_id], run) if run.pass_id in parts else run
        if run.state not in SUCCESSES:
            parts[run.pass_id] = whole
            continue
        gap = None if last_success is None else (run.finished_at - last_success).total_seconds()
        last_success = run.finished_at
        if known:
            found.append(Work(whole, whole is not run, gap))
    return found


def gap_ratio(history: Sequence[Work], work: Work) -> float:
    """The time since the success before, as a multiple of what is usual; 1 where that is not known."""
    gaps = [each.gap_seconds for each in history if each.gap_seconds is not None and each.gap_seconds > 0]
    if not gaps or work.gap_seconds is None or work.gap_seconds <= 0:
        return 1.0
    return work.gap_seconds / median(gaps)


def _joined(earlier: RunFacts, run: RunFacts) -> RunFacts:
    names = ("fetched", "inserted", "updated", "unchanged", "rejected", "size_bytes")
    sums = {name: getattr(earlier, name) + getattr(run, name) for name in names}
    return replace(run, full=run.full or earlier.full, **sums)
