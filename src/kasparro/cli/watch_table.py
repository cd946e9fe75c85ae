"""The one screen of `kasparro status --watch`: a line for each source, what is wrong first when not all fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kasparro.cli.output import Table
from kasparro.core.durations import about

if TYPE_CHECKING:
    from kasparro.services.health import SourceStatus
    from kasparro.services.live import AtWork, Live, LiveSource
    from kasparro.workers.timetable import Schedule

_COLUMNS: Final = (
    "source", "last run", "since", "rows", "rows/s", "last success", "next run", "rejects", "drift", "health",
)  # fmt: skip
_RIGHT: Final = ("rows", "rows/s", "rejects", "drift")
_BAD: Final = frozenset({"failed", "systemic", "interrupted"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One look, and when it was (`monotonic` seconds)."""

    live: "Live"
    at: float

    def at_work(self, source: str) -> "AtWork | None":
        """The run at work on this source then."""
        return next((each.at_work for each in self.live.sources if each.status.name == source), None)


def table_of(
    seen: Seen, before: Seen | None, schedules: "Mapping[str, Schedule]", *, room: int | None
) -> list[str | Table]:
    """The table, of at most `room` sources, and how many it leaves out."""
    shown = sorted(seen.live.sources, key=lambda source: (room is not None and not _is_bad(source), source.status.name))
    left_out = 0 if room is None else max(0, len(shown) - room)
    rows = [_row(source, seen, before, schedules) for source in shown[: len(shown) - left_out]]
    table = Table(_COLUMNS, sorted(rows), right=_RIGHT)
    return [table, *([f"and {left_out} more, which are well or do not fit"] if left_out else [])]


def _is_bad(source: "LiveSource") -> bool:
    status, run = source.status, source.status.last_run
    return status.freshness == "stale" or status.circuit_state != "closed" or (run is not None and run.state in _BAD)


def _row(source: "LiveSource", seen: Seen, before: Seen | None, schedules: "Mapping[str, Schedule]") -> tuple[str, ...]:
    status, work = source.status, source.at_work
    rate = None if work is None else _rate(work, before and before.at_work(status.name), before, seen)
    success = f"{about(status.age_seconds)} ago" if status.last_success_at else "never"
    progress = ("", "") if work is None or rate is None else (f"{work.fetched:,}", f"{rate:,.0f}")
    due = _next(source, seen.live.workers, schedules.get(status.name))
    still_open = (f"{source.rejects_open:,}", f"{source.drift_open:,}")
    return (status.name, *_state(source), *progress, success, due, *still_open, _health(status))


def _health(status: "SourceStatus") -> str:
    circuit = "" if status.circuit_state == "closed" else f", circuit {status.circuit_state.replace('_', ' ')}"
    return f"{status.freshness}{circuit}"


def _state(source: "LiveSource") -> tuple[str, str]:
    """The state of the run at work, else of the last one, and since when."""
    if source.at_work is not None:
        return f"{source.at_work.id} running", about(source.at_work.seconds)
    run = source.status.last_run
    if run is None:
        return "never", ""
    ended = run.finished_at or run.started_at
    return f"{run.id} {run.state}", "" if ended is None else about((datetime.now(UTC) - ended).total_seconds())


def _rate(work: "AtWork", earlier: "AtWork | None", before: Seen | None, seen: Seen) -> float | None:
    """Rows a second since the look before, or since the run began."""
    if earlier is not None and before is not None and earlier.id == work.id and seen.at > before.at:
        return (work.fetched - earlier.fetched) / (seen.at - before.at)
    return work.fetched / work.seconds if work.seconds > 0 else None


def _next(source: "LiveSource", workers: int, schedule: "Schedule | None") -> str:
    """When it is read next, about; a scheduler adds some jitter."""
    if source.at_work is not None:
        return "now"
    if not workers:
        return "no scheduler"
    if schedule is None:
        return ""
    from kasparro.workers.timetable import Timetable

    now = datetime.now(UTC)
    due = Timetable(schedule, lambda: 0.0).first(source.begun_at, now, source.failures, source.not_before)
    left = (due - now).total_seconds()
    return "due" if left <= 0 else f"in {about(left)}"
