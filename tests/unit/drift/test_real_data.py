"""Over the real week of seismic events: nothing where nothing has changed, and a rename of `mag` where there is one."""

from typing import Any

import pytest

from kasparro.demo.week import load_week
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.shape import Shape
from tests.unit.drift.running import profile_of

MAPPED = frozenset(("properties.mag", "properties.place", "properties.time"))


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """The week as the agency's service gives it."""
    return [
        {
            "type": "Feature",
            "properties": dict(event.properties),
            "geometry": {"type": "Point", "coordinates": list(event.coordinates)},
            "id": event.id,
        }
        for event in load_week().events
    ]


def test_the_same_week_again_gives_nothing(events: list[dict[str, Any]]) -> None:
    assert len(events) > 1_500
    assert compare(Shape.of(profile_of(events)), profile_of(events), MAPPED) == []


def test_the_later_half_gives_nothing_against_the_earlier(events: list[dict[str, Any]]) -> None:
    later, earlier = events[: len(events) // 2], events[len(events) // 2 :]
    assert compare(Shape.of(profile_of(earlier)), profile_of(later), MAPPED) == []


@pytest.mark.parametrize("border", [0, 900])
def test_a_magnitude_under_a_new_name_is_one_rename(events: list[dict[str, Any]], border: int) -> None:
    renamed = [event if place < border else _renamed(event) for place, event in enumerate(events)]
    (finding,) = compare(Shape.of(profile_of(events)), profile_of(renamed), MAPPED)
    assert (finding.kind, finding.field) == ("field_renamed", "properties.mag -> properties.magnitude")
    assert finding.mapped
    assert finding.confidence > 0.9


def test_kilometres_that_become_metres_are_a_shift(events: list[dict[str, Any]]) -> None:
    metres = [
        {**event, "properties": {**event["properties"], "dmin": _times(event["properties"]["dmin"])}}
        for event in events
    ]
    (finding,) = compare(Shape.of(profile_of(events)), profile_of(metres), MAPPED)
    assert (finding.kind, finding.field) == ("value_shift", "properties.dmin")
    assert finding.seen["scale"]["factor"] == pytest.approx(1_000, rel=0.2)


def _renamed(event: dict[str, Any]) -> dict[str, Any]:
    names = {"mag": "magnitude"}
    return {**event, "properties": {names.get(name, name): value for name, value in event["properties"].items()}}


def _times(number: Any) -> Any:
    return None if number is None else number * 1_000
