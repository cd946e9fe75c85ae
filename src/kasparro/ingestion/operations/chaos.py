"""What chaos tries, and by what it judges: pure decisions. `kasparro chaos` carries them out."""

from dataclasses import dataclass
from typing import Final

from kasparro.ingestion.faults import KINDS, LANE_POINTS, POINTS, FaultPlan
from kasparro.services.reckoning import Pace, Reckoning

_ALWAYS: Final = ("inserted", "updated", "distinct_rejects", "digest")
_READ_ONCE: Final = ("fetched", "unchanged", "duplicate")
"""Equal as long as nothing had to be read again: a feed's documents have no position inside."""
_MARGIN: Final = 0.1
"""Of what lies between the first and the last commit: how far before and after it moments are drawn as well."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not what an uninterrupted pass comes to."""

    what: str
    expected: int | str
    found: int | str


def every_plan(batches: int, lanes: int) -> list[FaultPlan]:
    """Every point, kind and batch, and every lane where the point has one."""
    return [
        FaultPlan(point, kind, batch, lane)
        for point in POINTS
        for kind in KINDS
        for batch in range(1, batches + 1)
        for lane in (range(lanes) if point in LANE_POINTS else (0,))
    ]


def differences(expected: Reckoning, found: Reckoning, source_type: str) -> list[Difference]:
    """What all runs of an interrupted pass came to, against one that nothing interrupted."""
    names: list[str] = [*_ALWAYS]
    if source_type == "csv":
        names.append("passes")  # nothing but a file that changed makes it be read again
    if source_type != "rss" and found.passes == expected.passes:
        names += _READ_ONCE
    wrong = [
        Difference(name.replace("_", " "), getattr(expected, name), getattr(found, name))
        for name in names
        if getattr(expected, name) != getattr(found, name)
    ]
    if found.digest != found.recomputed:
        wrong.append(Difference("digest of the records themselves", found.digest, found.recomputed))
    if found.unfinished:
        wrong.append(Difference("runs that never closed", 0, found.unfinished))
    return wrong


@dataclass(frozen=True, slots=True)
class Moment:
    """So many seconds behind the beginning of a run, or behind its nth commit: a busy machine moves it along."""

    commits: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s after {f'commit {self.commits}' if self.commits else 'the start'}"


def moment(pace: Pace, share: float, drawn: float) -> Moment:
    """When to kill a run, while it loads this share of the records.

    `drawn` is a random number from 0 to 1. Five of six moments fall between the first and the last commit.
    """
    commits = max(2, round(pace.commits * share))
    place = (drawn * (1 + 2 * _MARGIN) - _MARGIN) * (commits - 1)
    if place < 0:
        return Moment(0, pace.first_commit * (1 + place / (_MARGIN * (commits - 1))))
    interval = (pace.last_commit - pace.first_commit) / max(1, pace.commits - 1)
    return Moment(1 + int(place), (place % 1) * interval)
