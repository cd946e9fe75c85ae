"""How the week goes by: which moment is now, and what is known at a moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.demo.replay import (
    STARTS_AT,
    Replay,
    first_report,
    histories,
    last_change,
    moment,
    visible,
)
from kasparro.demo.week import Event, instant, load_week

WEEK = load_week()
HISTORIES = histories(WEEK)
STARTED = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENTS = st.integers(WEEK.begins - 1000, WEEK.ends)


def event(event_id: str) -> Event:
    return next(event for event in WEEK.events if event.id == event_id)


@pytest.mark.parametrize(
    ("speed", "elapsed", "expected"),
    [
        (60, timedelta(), "2018-02-04T12:00:00+00:00"),
        (60, timedelta(minutes=10), "2018-02-04T22:00:00+00:00"),
        (1, timedelta(seconds=1.5), "2018-02-04T12:00:01.500000+00:00"),
        (0, timedelta(days=9), "2018-02-04T12:00:00+00:00"),
        (60, timedelta(hours=-1), "2018-02-04T12:00:00+00:00"),
        (60, timedelta(days=400), "2018-02-07T01:49:14+00:00"),
        (1e300, timedelta(days=400), "2018-02-07T01:49:14+00:00"),
    ],
)
def test_the_week_goes_by_from_its_start_to_its_end(speed: float, elapsed: timedelta, expected: str) -> None:
    assert instant(moment(WEEK, Replay(STARTED, speed), STARTED + elapsed)).isoformat() == expected


def test_a_frozen_week_stands_still_and_never_beyond_its_end() -> None:
    frozen = Replay(STARTED, frozen_at=datetime(2018, 2, 5, tzinfo=UTC))
    assert moment(WEEK, frozen, STARTED) == moment(WEEK, frozen, STARTED + timedelta(days=1)) == 1517788800000
    assert moment(WEEK, Replay(STARTED, frozen_at=STARTED), STARTED) == WEEK.ends


def test_ten_minutes_show_new_and_revised_events() -> None:
    before = {event.id: event for event in visible(HISTORIES, STARTS_AT)}
    after = {event.id: event for event in visible(HISTORIES, STARTS_AT + 600 * 60 * 1000)}
    assert len(before) == 1080
    assert len(after.keys() - before.keys()) == 124
    assert len([key for key in before if before[key].updated != after[key].updated]) == 35


def test_an_event_shows_automatic_first_and_as_it_was_published_in_the_end() -> None:
    final = event("us1000chhc")
    first = first_report(final)
    assert (first.id, first.time, first.coordinates) == (final.id, final.time, final.coordinates)
    assert 60_000 <= first.updated - first.time < 300_000
    changed = {name: value for name, value in first.properties.items() if value != final.properties[name]}
    assert changed == {
        "updated": 1517932525912,
        "status": "automatic",
        "mag": 6.1,
        "sig": 572,
        "title": "M 6.1 - 22km NNE of Hualian, Taiwan",
        "types": ",geoserve,origin,phase-data,",
        "felt": None,
        "cdi": None,
        "mmi": None,
        "alert": None,
    }
    history = [history for history in HISTORIES if history.final.id == "us1000chhc"]
    assert visible(history, first.updated - 1) == []
    assert visible(history, first.updated) == visible(history, final.updated - 1) == [first]
    assert visible(history, final.updated) == [final]


def test_an_event_that_was_updated_at_once_has_one_version() -> None:
    single = [history for history in HISTORIES if history.first is history.final]
    assert len(single) == 28
    assert all(history.final.updated - history.final.time < 300_000 for history in single)


def test_a_first_magnitude_always_differs_a_little() -> None:
    for history in HISTORIES:
        difference = abs(history.first.properties["mag"] - history.final.properties["mag"])
        assert history.first is history.final or 0.09 < difference < 0.31


def test_at_its_end_the_week_is_what_the_agency_published() -> None:
    assert tuple(visible(HISTORIES, WEEK.ends)) == WEEK.events


@given(MOMENTS, MOMENTS)
def test_what_is_known_only_grows(one: int, other: int) -> None:
    earlier, later = ({event.id: event.updated for event in visible(HISTORIES, at)} for at in sorted((one, other)))
    assert earlier.keys() <= later.keys()
    assert all(updated <= later[key] for key, updated in earlier.items())
    assert all(updated <= max(one, other) for updated in later.values())


def test_the_last_change_is_the_latest_version_or_the_beginning() -> None:
    assert last_change([], WEEK) == WEEK.begins
    assert last_change(WEEK.events, WEEK) == 1517967904877
