"""The demo's query API: parameters, selection, document, error text."""

from typing import Any

import pytest

from kasparro.core.errors import ParameterError
from kasparro.demo.query import error_text, feature_collection, parse_query, select
from kasparro.demo.week import Event, load_week

WEEK = load_week()


def find(**parameters: str) -> list[Event]:
    return select(WEEK.events, parse_query({"format": "geojson", **parameters}))


def ids(**parameters: str) -> list[str]:
    return [event.id for event in find(**parameters)]


def test_without_bounds_everything_comes_the_latest_first() -> None:
    found = find()
    assert len(found) == 1707
    assert found[0].id == "ci37868143"
    assert [event.time for event in found] == sorted((event.time for event in found), reverse=True)


@pytest.mark.parametrize("order", ["time", "time-asc", "magnitude", "magnitude-asc"])
def test_pages_hold_each_event_once_in_every_order(order: str) -> None:
    pages = [ids(orderby=order, limit="200", offset=str(offset)) for offset in range(1, 2001, 200)]
    assert [len(page) for page in pages] == [200] * 8 + [107, 0]
    assert [key for page in pages for key in page] == ids(orderby=order)


def test_magnitudes_are_ordered_the_largest_first() -> None:
    assert find(orderby="magnitude", limit="1")[0].properties["mag"] == 6.4
    assert find(orderby="magnitude-asc", limit="1")[0].properties["mag"] < 0


def test_times_bound_inclusively_and_updates_exclusively() -> None:
    assert ids(starttime="2018-02-07T01:26:13.840Z") == ["ci37868143"]
    assert ids(starttime="2018-02-07T01:26:13.841Z") == []
    assert len(ids(endtime="2018-02-07T01:26:13.839Z")) == 1706
    assert ids(updatedafter="2018-02-07T01:45:04.876Z", limit="1") == ids(updatedafter="2018-02-07 01:45:04.876")
    assert ids(updatedafter="2018-02-07T01:45:04.877Z") == []
    assert ids(starttime="2018-02-07T02:26:13.840+01:00") == ["ci37868143"]
    assert len(ids(starttime="2018-02-07")) == 14


def test_magnitudes_bound_inclusively_and_exactly() -> None:
    assert ids(minmagnitude="6.4") == ids(minmagnitude="6.2", maxmagnitude="6.40") == ["us1000chhc"]
    assert len(ids(minmagnitude="6.1")) == 3
    assert ids(minmagnitude="6.41") == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"starttime": "not-a-date"}, 'Bad starttime value "not-a-date". Valid values are ISO-8601 timestamps.'),
        ({"updatedafter": "1517966996303"}, 'Bad updatedafter value "1517966996303". Valid values are ISO-8601 time'),
        ({"endtime": ""}, 'Bad endtime value "".'),
        ({"limit": "20001"}, 'Bad limit value "20001". Valid values are 1 <= limit <= 20000.'),
        ({"limit": "0"}, 'Bad limit value "0".'),
        ({"limit": "1.0"}, 'Bad limit value "1.0".'),
        ({"offset": "0"}, 'Bad offset value "0". Valid values are offset >= 1.'),
        ({"offset": "9" * 5000}, "Bad offset value"),
        ({"orderby": "place"}, 'Bad orderby value "place". Valid values are time, time-asc, magnitude, magnitude-asc.'),
        ({"minmagnitude": "NaN"}, 'Bad minmagnitude value "NaN". Valid values are decimal numbers.'),
        ({"format": "csv"}, 'Bad format value "csv". Valid values are geojson.'),
        ({"page": "2"}, 'Unknown parameter "page".'),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, str], sentence: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_query({"format": "geojson", **parameters})
    [(name, problem)] = caught.value.problems.items()
    assert name == next(iter(parameters))
    assert problem.startswith(sentence)


def test_a_missing_format_is_said_beside_what_else_is_wrong() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_query({"limit": "x"})
    assert list(caught.value.problems) == ["limit", "format"]


def test_the_document_has_the_agencys_form() -> None:
    query = parse_query({"format": "geojson", "limit": "1"})
    metadata = {"generated": 1517968154000, "url": "http://127.0.0.1/query", "api": "1.5.8"}
    document: Any = feature_collection(select(WEEK.events, query), query, metadata)
    assert list(document) == ["type", "metadata", "features", "bbox"]
    assert document["metadata"] == {
        "generated": 1517968154000,
        "url": "http://127.0.0.1/query",
        "title": "USGS Earthquakes",
        "status": 200,
        "api": "1.5.8",
        "limit": 1,
        "offset": 1,
        "count": 1,
    }
    [feature] = document["features"]
    assert list(feature) == ["type", "properties", "geometry", "id"]
    assert feature["id"] == "ci37868143"
    assert feature["geometry"] == {"type": "Point", "coordinates": [-118.6671667, 34.4945, 26.49]}
    assert list(feature["properties"])[:8] == ["mag", "place", "time", "updated", "tz", "url", "detail", "felt"]
    assert feature["properties"]["detail"] == (
        "https://earthquake.usgs.gov/fdsnws/event/1/query?eventid=ci37868143&format=geojson"
    )
    assert document["bbox"] == [-118.6671667, 34.4945, 26.49, -118.6671667, 34.4945, 26.49]


def test_a_document_without_events_is_empty_and_has_no_bounds() -> None:
    document = feature_collection([], parse_query({"format": "geojson"}), {"generated": 0, "url": "", "api": ""})
    assert document["features"] == []
    assert document["metadata"]["count"] == 0
    assert "limit" not in document["metadata"]
    assert "bbox" not in document


def test_an_error_is_written_as_the_agency_writes_it() -> None:
    text = error_text("400: Bad Request", ["Bad limit."], "/query?a=1&b=<", 1517968154000, "1.5.8")
    assert text == (
        "Error 400: Bad Request\n\nBad limit.\n\n"
        "Usage details are available from https://earthquake.usgs.gov/fdsnws/event/1\n\n"
        "Request:\n/query?a=1&amp;b=&lt;\n\nRequest Submitted:\n2018-02-07T01:49:14+00:00\n\nService version:\n1.5.8\n"
    )
