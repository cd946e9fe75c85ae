"""When a source runs next: its schedule, jitter, a growing distance after failures, and what its server asked for.

Pure arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

LONGEST_BACKOFF: Final = timedelta(hours=1)
LONGEST_PAUSE: Final = timedelta(days=1)
"""What a server may ask for; more is left over from a clock that was wrong."""
_MOST_DOUBLINGS: Final = 16
_LOOKED_AHEAD: Final = timedelta(days=35)
_MOST_DUE: Final = 2500
_LEAST_DUE: Final = 3


class Schedule(Protocol):
    """When runs are due, in UTC."""

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment after `moment`."""
        ...

    def spread(self, distance: timedelta) -> timedelta:
        """How much later than due a run may begin, where `distance` is the time between two runs."""
        ...


@dataclass(frozen=True, slots=True)
class Timetable:
    """One source's times. `random` gives a number from 0 to 1, for the jitter."""

    schedule: Schedule
    random: Callable[[], float]

    def first(
        self, last_started: datetime | None, now: datetime, failures: int, not_before: datetime | None = None
    ) -> datetime:
        """When to run after a start of the scheduler: at once if never run, or if a due moment has passed meanwhile.

        A run of the future, begun by a clock that was wrong, counts as begun now.
        """
        if last_started is None:
            return now
        if not_before is not None:
            not_before = min(not_before, now + LONGEST_PAUSE)
        return max(now, self.following(min(last_started, now), failures, not_before))

    def following(self, started: datetime, failures: int, not_before: datetime | None = None) -> datetime:
        """When to run after a run that began at `started`; what was missed since is made up for once, not often.

        After failures the distance doubles each time, up to an hour or the schedule's own distance; it never ends.
        Never before `not_before`, if there is one.
        """
        due = self.schedule.next_after(started)
        distance = due - started
        if failures:
            longest = max(LONGEST_BACKOFF, distance)
            distance = min(longest, distance * 2 ** min(failures - 1, _MOST_DOUBLINGS))
            due = max(due, started + distance)
        if not_before is not None:
            due = max(due, not_before)
        return due + self.schedule.spread(distance) * self.random()


def longest_distance(schedule: Schedule, now: datetime) -> timedelta:
    """The longest time between two due moments that follow each other, nights and weekends of the next weeks included.

    Of a schedule that is due more often than 2,500 times in five weeks, as far as
    so many reach: a week of every 5 minutes.
    """
    longest, before = timedelta(0), schedule.next_after(now)
    for number in range(_MOST_DUE):
        due = schedule.next_after(before)
        longest, before = max(longest, due - before), due
        if number >= _LEAST_DUE and due - now > _LOOKED_AHEAD:
            break
    return longest
