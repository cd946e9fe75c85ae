"""The demo's week: the same events as the CSV file that was derived from the same feed by another script."""

import csv
import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kasparro.demo.query import Query, feature_collection
from kasparro.demo.week import Event, instant, load_week, milliseconds

ROOT = Path(__file__).resolve().parents[2]
PACKED = ROOT / "src" / "kasparro" / "demo" / "week.json.gz"


def as_csv(event: Event) -> dict[str, str]:
    longitude, latitude, depth = event.coordinates
    names = ("mag", "magType", "nst", "gap", "dmin", "rms", "net", "place", "type", "status")
    values: dict[str, Any] = {name: event.properties[name] for name in names}
    values |= {"id": event.id, "longitude": longitude, "latitude": latitude, "depth": depth}
    for name in ("time", "updated"):
        values[name] = instant(event.properties[name]).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {name: "" if value is None else str(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def derive() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_week", ROOT / "data" / "derive_week.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_week_holds_what_the_csv_file_holds() -> None:
    with (ROOT / "data" / "earthquakes.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    week = load_week()
    assert len(week.events) == len(rows) == 1707
    for event in week.events:
        row = rows[event.id]
        assert as_csv(event) == {name: row[name] for name in as_csv(event)}


def test_an_event_is_as_the_agency_wrote_it() -> None:
    event = next(event for event in load_week().events if event.id == "us1000chhc")
    assert (event.time, event.updated) == (1517932242400, 1517967111797)
    assert event.page == "https://earthquake.usgs.gov/earthquakes/eventpage/us1000chhc"
    assert event.coordinates == (121.653, 24.1737, 10.64)
    assert event.properties["title"] == "M 6.4 - 22km NNE of Hualian, Taiwan"
    assert (event.properties["felt"], event.properties["sig"], event.properties["alert"]) == (261, 800, "green")


def test_the_week_is_seven_days_long_and_holds_all_its_events() -> None:
    week = load_week()
    assert (week.begins, week.ends, week.api) == (1517363354000, 1517968154000, "1.5.8")
    assert all(week.begins < event.time < event.updated <= week.ends for event in week.events)


def test_the_packed_file_is_what_its_script_makes_of_the_features(derive: ModuleType) -> None:
    week = load_week()
    metadata = {"generated": 0, "url": "", "api": ""}
    features = feature_collection(week.events, Query(), metadata)["features"]
    assert derive.columns(features) == json.loads(gzip.decompress(PACKED.read_bytes()))["columns"]
    assert PACKED.stat().st_size < 300_000


def test_the_script_refuses_a_property_that_it_does_not_know(derive: ModuleType) -> None:
    with pytest.raises(ValueError, match="ci1: properties"):
        derive.columns([{"id": "ci1", "properties": {"mag": 1}, "geometry": {"coordinates": [0, 0, 0]}}])


def test_times_survive_both_ways() -> None:
    assert instant(1517966773840).isoformat() == "2018-02-07T01:26:13.840000+00:00"
    assert milliseconds(instant(1517966773840)) == 1517966773840
    assert milliseconds(instant(-1)) == -1
