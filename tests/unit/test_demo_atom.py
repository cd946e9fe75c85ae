"""The demo's Atom feed and its validators."""

from dataclasses import replace

import feedparser
import pytest

from kasparro.demo.atom import Feed, build_feed, edition, is_current
from kasparro.demo.week import Event, instant, load_week

WEEK = load_week()
SELF = "http://127.0.0.1:8010/all_week.atom?a=1&b=2"
ENTRY = (
    "<entry><id>urn:earthquake-usgs-gov:us:1000chhc</id><title>M 6.4 - 22km NNE of Hualian, Taiwan</title>"
    "<updated>2018-02-07T01:31:51.797Z</updated>"
    '<link rel="alternate" type="text/html" href="https://earthquake.usgs.gov/earthquakes/eventpage/us1000chhc"/>'
    '<summary type="html"><![CDATA[<p class="quicksummary">'
    '<a href="https://earthquake.usgs.gov/earthquakes/eventpage/us1000chhc#pager" '
    'title="PAGER estimated impact alert level" class="pager-green">'
    'PAGER - <strong class="roman">GREEN</strong></a> '
    '<a href="https://earthquake.usgs.gov/earthquakes/eventpage/us1000chhc#shakemap" '
    'title="ShakeMap maximum estimated intensity" class="mmi-VII">'
    'ShakeMap - <strong class="roman">VII</strong></a> '
    '<a href="https://earthquake.usgs.gov/earthquakes/eventpage/us1000chhc#dyfi" '
    'title="Did You Feel It? maximum reported intensity (261 reports)" class="mmi-VI">'
    'DYFI? - <strong class="roman">VI</strong></a></p>'
    "<dl><dt>Time</dt><dd>2018-02-06 15:50:42 UTC</dd><dd>2018-02-06 23:50:42 +08:00 at epicenter</dd>"
    "<dt>Location</dt><dd>24.174&deg;N 121.653&deg;E</dd><dt>Depth</dt><dd>10.64 km (6.61 mi)</dd></dl>]]></summary>"
    "<georss:point>24.1737 121.653</georss:point><georss:elev>-10640</georss:elev>"
    '<category label="Age" term="Past Day"/><category label="Magnitude" term="Magnitude 6"/>'
    '<category label="Contributor" term="us"/><category label="Author" term="us"/></entry>\n'
)


def event(event_id: str) -> Event:
    return next(event for event in WEEK.events if event.id == event_id)


def feed_of(*events: Event, last_change: int = 1517967904877) -> Feed:
    return build_feed(events, last_change, SELF)


def test_an_entry_is_written_as_the_agency_writes_it() -> None:
    text = feed_of(event("us1000chhc")).body.decode()
    header, entry = text.split("\n", 2)[1:]
    assert entry == ENTRY + "</feed>"
    assert '<link rel="self" href="http://127.0.0.1:8010/all_week.atom?a=1&amp;b=2"/>' in header
    assert "<title>USGS All Earthquakes, Past Week</title><updated>2018-02-07T01:45:05Z</updated>" in header


def test_a_feed_reader_finds_every_event() -> None:
    parsed = feedparser.parse(feed_of(*WEEK.events[:100]).body)
    assert not parsed.bozo
    assert parsed.entries[0].id == "urn:earthquake-usgs-gov:ci:37868143"
    found = ["".join(entry.id.split(":")[-2:]) for entry in parsed.entries]
    assert found == [event.id for event in WEEK.events[:100]]


def test_names_of_places_are_escaped() -> None:
    odd = replace(event("ci37868143"), properties={**event("ci37868143").properties, "title": "R&D <b>"})
    assert b"<title>R&amp;D &lt;b&gt;</title>" in feed_of(odd).body


@pytest.mark.parametrize(("depth", "shown"), [(0, "0"), (-0.0, "0"), (-2.79, "2790"), (10, "-10000"), (0.0004, "-0.4")])
def test_depth_becomes_elevation_in_metres(depth: float, shown: str) -> None:
    placed = replace(event("ci37868143"), coordinates=(0.0, 0.0, depth))
    assert f"<georss:elev>{shown}</georss:elev>".encode() in feed_of(placed).body


@pytest.mark.parametrize(
    ("hours", "age"), [(0.5, "Past Hour"), (23, "Past Day"), (25, "Past Week"), (24 * 8, "Past Month")]
)
def test_an_entry_has_its_age_at_the_time_of_the_feed(hours: float, age: str) -> None:
    quake = event("ci37868143")
    body = feed_of(quake, last_change=quake.time + int(hours * 3_600_000)).body
    assert f'<category label="Age" term="{age}"/>'.encode() in body


def test_equal_events_give_equal_bytes_and_validators() -> None:
    one, other = feed_of(event("us1000chhc")), feed_of(event("us1000chhc"))
    assert (one.body, one.headers) == (other.body, other.headers)
    assert one.headers["Last-Modified"] == "Wed, 07 Feb 2018 01:45:05 GMT"
    assert feed_of(event("ci37868143")).headers["ETag"] != one.headers["ETag"]


def test_what_the_client_has_is_current_by_its_tag() -> None:
    feed = feed_of(event("us1000chhc"))
    tag = feed.headers["ETag"]
    assert is_current(feed, {"if-none-match": tag})
    assert is_current(feed, {"if-none-match": f'"other", W/{tag}'})
    assert is_current(feed, {"if-none-match": "*"})
    assert not is_current(feed, {"if-none-match": '"other"', "if-modified-since": feed.headers["Last-Modified"]})
    assert not is_current(feed, {})


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("Wed, 07 Feb 2018 01:45:05 GMT", True),
        ("Wed, 07 Feb 2018 01:45:06 GMT", True),
        ("Wed, 07 Feb 2018 01:45:04 GMT", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_what_the_client_has_is_current_by_its_date(since: str, *, expected: bool) -> None:
    assert is_current(feed_of(event("us1000chhc")), {"if-modified-since": since}) is expected


def test_a_date_to_the_second_tells_editions_apart() -> None:
    """A change in a second shows in the edition of the next one, whose date is no earlier than the change."""
    assert edition(1517967904877) == 1517967904000
    assert edition(1517967905000) == 1517967905000
    assert feed_of(last_change=1517967904877).changed == instant(1517967905000)
    assert feed_of(last_change=1517967905000).changed == instant(1517967905000)
