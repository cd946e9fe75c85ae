"""Durations as people write them, and schedules: the next time after a moment, through clock changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.schemas.configuration import Schedule
from kasparro.schemas.configuration.schedule import every
from kasparro.schemas.configuration.times import duration_text, parse_duration
from kasparro.schemas.configuration.upstream import size_text

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), ("2d", 172800), ("1w", 604800), ("0.5s", 0.5)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "1m1h", "-5m", "1.5h", "5ms", "5M", "９m", "1h-5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write numbers with a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3661d", "999999999w"])
def test_a_duration_has_an_end(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than ten years"):
        parse_duration(text)


@given(st.timedeltas(timedelta(0), timedelta(days=3660)))
def test_a_duration_is_written_as_it_is_read(duration: timedelta) -> None:
    assert parse_duration(duration_text(duration)) == duration


def test_an_interval_counts_from_the_last_start() -> None:
    assert every(timedelta(minutes=5)).next_after(NOON) == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("*/5 * * * *", "UTC", "2026-03-28T12:05:00+00:00"),
        ("0 12 * * *", "UTC", "2026-03-29T12:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        ("0 6 * * MON", "America/New_York", "2026-03-30T10:00:00+00:00"),
        ("15 0 12 28 3 *", "UTC", "2026-03-28T12:00:15+00:00"),
    ],
    ids=["every five minutes", "after, not at", "a time that is skipped", "weekday and zone", "with seconds"],
)
def test_a_cron_expression_gives_the_next_time(cron: str, zone: str, expected: str) -> None:
    assert Schedule(cron=cron, timezone=zone).next_after(NOON).isoformat() == expected


def test_runs_are_spread_by_a_tenth_but_not_for_long() -> None:
    schedule = every(timedelta(minutes=1))
    assert schedule.spread(timedelta(minutes=1)) == timedelta(seconds=6)
    assert schedule.spread(timedelta(days=1)) == timedelta(seconds=30)
    assert Schedule(cron="0 6 * * *", jitter=timedelta(0)).spread(timedelta(days=1)) == timedelta(0)


@pytest.mark.parametrize(
    ("size", "text"), [(64 * 1024 * 1024, "64MiB"), (8_000_000, "8MB"), (1537, "1537"), (2048, "2KiB"), (10**9, "1GB")]
)
def test_a_size_is_shown_in_its_largest_unit(size: int, text: str) -> None:
    assert size_text(size) == text
