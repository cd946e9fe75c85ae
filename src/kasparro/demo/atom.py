"""The agency's Atom feed "all week" (RFC 4287, GeoRSS) over the events that are visible, and its validators."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime
from html import escape
from typing import Final

from kasparro.demo.week import AGENCY, Event, instant

FEED_PATH: Final = "/earthquakes/feed/v1.0/summary/all_week.atom"
MEDIA_TYPE: Final = "application/atom+xml"
_HOUR_MS: Final = 3600 * 1000
_MILES_IN_KILOMETRE: Final = 0.621371
_AGES: Final = ((_HOUR_MS, "Past Hour"), (24 * _HOUR_MS, "Past Day"), (7 * 24 * _HOUR_MS, "Past Week"))
_ROMAN: Final = ("I", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_HEADER: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:georss="http://www.georss.org/georss">'
    "<title>USGS All Earthquakes, Past Week</title><updated>{updated:%Y-%m-%dT%H:%M:%SZ}</updated>"
    "<author><name>U.S. Geological Survey</name><uri>{agency}/</uri></author><id>{agency}{path}</id>"
    '<link rel="self" href="{self_url}"/><icon>{agency}/favicon.ico</icon>\n'
)


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed as it is served: equal events give equal bytes."""

    body: bytes
    changed: datetime
    """To the second, at or after the last change in it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What a client may ask with next time (RFC 9110, section 8.8)."""
        digest = hashlib.blake2b(self.body, digest_size=16).hexdigest()
        return {"ETag": f'"{digest}"', "Last-Modified": format_datetime(self.changed, usegmt=True)}


def edition(at: int) -> int:
    """The moment whose events the feed shows: it is made once a second, so that a date to the second tells editions
    apart."""
    return at // 1000 * 1000


def build_feed(events: Sequence[Event], last_change: int, self_url: str) -> Feed:
    """The feed of these events; `last_change` is when the last of their versions showed, and the feed's own time."""
    changed = -(-last_change // 1000) * 1000
    updated = instant(changed)
    header = _HEADER.format(agency=AGENCY, path=FEED_PATH, self_url=escape(self_url), updated=updated)
    text = header + "".join(_entry(event, changed) for event in events) + "</feed>"
    return Feed(text.encode(), updated)


def is_current(feed: Feed, requested: Mapping[str, str]) -> bool:
    """Whether what the client has is this feed (RFC 9110, section 13.2.2): If-None-Match, else If-Modified-Since."""
    tags = requested.get("if-none-match")
    if tags is not None:
        given = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return "*" in given or feed.headers["ETag"] in given
    since = requested.get("if-modified-since")
    try:
        return since is not None and feed.changed <= parsedate_to_datetime(since).replace(tzinfo=UTC)
    except ValueError:
        return False


def _entry(event: Event, now: int) -> str:
    properties = event.properties
    net = escape(str(properties["net"]))
    longitude, latitude, depth = event.coordinates
    return (
        f"<entry><id>urn:earthquake-usgs-gov:{net}:{escape(str(properties['code']))}</id>"
        f"<title>{escape(str(properties['title']))}</title>"
        f"<updated>{_iso(event.updated)}</updated>"
        f'<link rel="alternate" type="text/html" href="{escape(event.page)}"/>'
        f'<summary type="html"><![CDATA[{_summary(event)}]]></summary>'
        f"<georss:point>{latitude} {longitude}</georss:point><georss:elev>{_elevation(depth)}</georss:elev>"
        f'<category label="Age" term="{_age(event.time, now)}"/>'
        f'<category label="Magnitude" term="Magnitude {int(properties["mag"])}"/>'
        f'<category label="Contributor" term="{net}"/><category label="Author" term="{net}"/></entry>\n'
    )


def _summary(event: Event) -> str:
    """HTML as the agency writes it: what was felt, then time, place and depth."""
    longitude, latitude, depth = event.coordinates
    time = instant(event.time)
    local = time.astimezone(timezone(timedelta(minutes=event.properties["tz"] or 0)))
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    place = f"{abs(latitude):.3f}&deg;{north} {abs(longitude):.3f}&deg;{east}"
    return (
        f"{_quick_summary(event)}<dl><dt>Time</dt><dd>{time:%Y-%m-%d %H:%M:%S} UTC</dd>"
        f"<dd>{local:%Y-%m-%d %H:%M:%S} {local.isoformat()[-6:]} at epicenter</dd>"
        f"<dt>Location</dt><dd>{place}</dd>"
        f"<dt>Depth</dt><dd>{depth:.2f} km ({depth * _MILES_IN_KILOMETRE:.2f} mi)</dd></dl>"
    )


def _quick_summary(event: Event) -> str:
    """Links to what people felt, what was measured, and what may have been damaged: where there is any."""
    properties = event.properties
    links: list[str] = []
    if properties["alert"]:
        title, word = "PAGER estimated impact alert level", escape(str(properties["alert"]))
        links.append(_quick_link(event.page + "#pager", f"pager-{word}", title, "PAGER", word.upper()))
    if properties["mmi"] is not None:
        title, level = "ShakeMap maximum estimated intensity", _roman(properties["mmi"])
        links.append(_quick_link(event.page + "#shakemap", f"mmi-{level}", title, "ShakeMap", level))
    if properties["cdi"] is not None:
        level = _roman(properties["cdi"])
        title = f"Did You Feel It? maximum reported intensity ({properties['felt']} reports)"
        links.append(_quick_link(event.page + "#dyfi", f"mmi-{level}", title, "DYFI?", level))
    return f'<p class="quicksummary">{" ".join(links)}</p>' if links else ""


def _quick_link(url: str, style: str, title: str, name: str, level: str) -> str:
    return f'<a href="{url}" title="{title}" class="{style}">{name} - <strong class="roman">{level}</strong></a>'


def _roman(intensity: float) -> str:
    """A Mercalli intensity as the agency writes it."""
    return _ROMAN[max(0, min(12, round(intensity)))]


def _age(time: int, now: int) -> str:
    return next((age for limit, age in _AGES if now - time <= limit), "Past Month")


def _elevation(depth: float) -> str:
    """Metres above the ground, from kilometres below it."""
    return f"{(Decimal(str(depth)) * -1000).normalize() + 0:f}"


def _iso(milliseconds: int) -> str:
    return instant(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
