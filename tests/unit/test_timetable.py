"""When a source runs next."""

from datetime import UTC, datetime, timedelta

import pytest

from kasparro.schemas.configuration.schedule import Schedule
from kasparro.workers.timetable import Timetable, longest_distance

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Spread:
    """A tenth of the distance."""

    def spread(self, distance: timedelta) -> timedelta:
        return distance / 10


class EveryTenMinutes(Spread):
    def next_after(self, moment: datetime) -> datetime:
        return moment + timedelta(minutes=10)


def timetable(jitter: float = 0.0) -> Timetable:
    return Timetable(EveryTenMinutes(), lambda: jitter)


def test_source_that_never_ran_runs_at_once() -> None:
    assert timetable().first(None, NOON, 0) == NOON


def test_restarted_scheduler_waits_for_the_rest_of_the_interval() -> None:
    assert timetable().first(NOON - timedelta(minutes=4), NOON, 0) == NOON + timedelta(minutes=6)


def test_many_missed_runs_are_made_up_for_once() -> None:
    due = timetable().first(NOON - timedelta(hours=9), NOON, 0)
    assert due == NOON
    assert timetable().following(due, 0) == NOON + timedelta(minutes=10)


@pytest.mark.parametrize(("failures", "minutes"), [(0, 10), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (1000, 60)])
def test_failures_double_the_distance_up_to_an_hour_and_never_end_it(failures: int, minutes: int) -> None:
    assert timetable().following(NOON, failures) == NOON + timedelta(minutes=minutes)


def test_source_with_a_long_interval_is_not_asked_more_often_for_failing() -> None:
    class Daily(Spread):
        def next_after(self, moment: datetime) -> datetime:
            return moment + timedelta(days=1)

    assert Timetable(Daily(), lambda: 0.0).following(NOON, 5) == NOON + timedelta(days=1)


def test_no_run_begins_before_the_server_wants_it() -> None:
    held = NOON + timedelta(hours=2)
    assert timetable().following(NOON, 1, held) == held
    assert timetable().following(NOON, 0, NOON + timedelta(minutes=3)) == NOON + timedelta(minutes=10)
    assert timetable().first(NOON, NOON + timedelta(minutes=30), 1, held) == held
    assert timetable().first(NOON, NOON + timedelta(hours=3), 1, held) == NOON + timedelta(hours=3)
    assert timetable(1.0).following(NOON, 1, held) == held + timedelta(minutes=1)


def test_jitter_adds_up_to_a_tenth() -> None:
    assert timetable(1.0).following(NOON, 0) == NOON + timedelta(minutes=11)


def test_times_of_a_clock_that_was_wrong_keep_no_source_waiting() -> None:
    """A run that began, or a server's wish that was heard, when the clock was ten years ahead."""
    future = NOON + timedelta(days=3650)
    assert timetable().first(future, NOON, 0) == NOON + timedelta(minutes=10)
    assert timetable().first(NOON, NOON, 0, future) == NOON + timedelta(days=1)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ({"every": "5m"}, 1 / 12),
        ({"cron": "* * * * *"}, 1 / 60),
        ({"cron": "0 6 * * *"}, 24),
        ({"cron": "0 6 * * 1-5"}, 72),
        ({"cron": "*/15 9-17 * * 1-5"}, 63.25),
        ({"cron": "0 6 1 * *"}, 31 * 24),
    ],
)
def test_the_longest_distance_is_over_nights_weekends_and_clock_changes(schedule: dict[str, str], hours: float) -> None:
    assert longest_distance(Schedule.model_validate(schedule), NOON) == timedelta(hours=hours)
