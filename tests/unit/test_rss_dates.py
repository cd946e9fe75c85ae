"""Times as feeds write them."""

import time
from collections.abc import Iterator

import pytest

from kasparro.ingestion.sources.rss.dates import read_time

TIMES = {
    "Wed, 03 Jan 2024 12:00:00 GMT": "2024-01-03T12:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 +0100": "2024-01-03T11:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 +05:30": "2024-01-03T06:30:00Z",
    "Wed, 03 Jan 2024 12:00 EST": "2024-01-03T17:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 PDT": "2024-01-03T19:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 CEST": "2024-01-03T10:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 JST": "2024-01-03T03:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 UTC": "2024-01-03T12:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 Etc/GMT": "2024-01-03T12:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 GMT-05:00": "2024-01-03T17:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 Z": "2024-01-03T12:00:00Z",
    "Wed, 03 Jan 2024 12:00:00 XYZ": "2024-01-03T12:00:00",
    "Wed, 03 Jan 2024 12:00:00": "2024-01-03T12:00:00",
    "3 Jan 2024": "2024-01-03T00:00:00",
    "03 Jan 04 12:00:00 GMT": "2004-01-03T12:00:00Z",
    "Wednesday, January 3 2024 12:00:00 GMT": "2024-01-03T12:00:00Z",
    "Sun Jan  4 16:29:06 PDT 2004": "2004-01-04T23:29:06Z",
    "Sun Jan  4 16:29:06 2004": "2004-01-04T16:29:06",
    "Fri, 2006/09/15 08:19:53 EDT": "2006-09-15T12:19:53Z",
    "2024-01-03T12:00:00Z": "2024-01-03T12:00:00Z",
    "2024-01-03t12:00:00z": "2024-01-03T12:00:00Z",
    "2024-01-03T12:00:00.123+02:00": "2024-01-03T10:00:00.123000Z",
    "2024-01-03 12:00:00": "2024-01-03T12:00:00",
    "2024-01-03 12:00:00 EST": "2024-01-03T17:00:00Z",
    "2024-01-03T12:00": "2024-01-03T12:00:00",
    "2024-01-03": "2024-01-03T00:00:00",
    "2024-01": "2024-01-01T00:00:00",
    "2024": "2024-01-01T00:00:00",
    "20240103": "2024-01-03T00:00:00",
    "20240103T120000Z": "2024-01-03T12:00:00Z",
    "2024-003": "2024-01-03T00:00:00",
    "2024-03-31T02:30:00": "2024-03-31T02:30:00",
    "2004-05-25 오후 11:23:17": "2004-05-25T14:23:17Z",
    "2004년 05월 28일  01:31:15": "2004-05-27T16:31:15Z",
    "2024/01/03 12:00:00": "2024-01-03T12:00:00",
    "0001-01-01T00:00:00+05:00": None,
    "yesterday": None,
    "": None,
    "Wed, 32 Jan 2024 12:00:00 GMT": None,
    "1" * 200: None,
}


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's own zone, which must not matter."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_times_are_read_without_local_time() -> None:
    assert {text: read_time(text) for text in TIMES} == TIMES


def test_no_text_is_no_time() -> None:
    assert read_time(None) is None
