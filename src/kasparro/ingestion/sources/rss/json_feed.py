"""JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org/version/1.1/), read leniently: what has a wrong type is left out."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar, cast

import jiter

from kasparro.ingestion.sources.rss.dates import read_time
from kasparro.ingestion.sources.rss.entry import Category, Content, Enclosure, Entry, Person
from kasparro.ingestion.sources.rss.errors import NoFeedError, beginning
from kasparro.ingestion.sources.rss.references import resolved

_Member = dict[str, Any]
T = TypeVar("T")


def read_json_feed(body: bytes, url: str) -> tuple[str | None, list[Entry]]:
    """The feed's title and entries, references resolved against `url`. Raises NoFeedError."""
    try:
        document: object = jiter.from_json(_utf_8(body), float_mode="decimal", allow_inf_nan=False)
    except (ValueError, UnicodeError) as error:
        raise NoFeedError(f"is not valid JSON ({error}); it begins with: {beginning(body)}") from None
    if not isinstance(document, dict):
        raise NoFeedError(f"is JSON, but no feed; it begins with: {beginning(body)}")
    feed = cast("_Member", document)
    items = feed.get("items")
    if not isinstance(items, list) or "jsonfeed.org" not in str(feed.get("version")):
        raise NoFeedError(f"is JSON, but no JSON Feed (version, items); it begins with: {beginning(body)}")
    return _text(feed, "title"), [_entry(item, url, feed) for item in _objects(cast("list[object]", items))]


def _utf_8(body: bytes) -> bytes:
    """JSON is UTF-8 (RFC 8259 section 8.1); a byte order mark is forgiven, UTF-16 with one too."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16").encode()
    return body.removeprefix(b"\xef\xbb\xbf")


def _entry(item: _Member, url: str, feed: _Member) -> Entry:
    content = [
        Content(type=kind, value=value)
        for kind, name in (("text/html", "content_html"), ("text/plain", "content_text"))
        if (value := _text(item, name)) is not None
    ]
    link = _text(item, "url") or _text(item, "external_url")
    published, updated = _text(item, "date_published"), _text(item, "date_modified")
    return Entry(
        guid=_text(item, "id"),
        link=(resolved(url, link) or None) if link else None,
        title=_text(item, "title"),
        title_type="text/plain",
        authors=_all(item.get("authors") or [item.get("author")], _person),
        summary=_text(item, "summary"),
        summary_type="text/plain",
        content=content,
        categories=[Category(term=tag, scheme=None, label=None) for tag in _strings(item.get("tags"))],
        enclosures=_all(item.get("attachments"), lambda each: _enclosure(each, url)),
        published=published,
        published_parsed=read_time(published),
        updated=updated,
        updated_parsed=read_time(updated),
        language=_text(item, "language") or _text(feed, "language"),
        base=None,
    )


def _person(value: _Member) -> Person | None:
    person = Person(name=_text(value, "name"), email=None, url=_text(value, "url"))
    return person if person["name"] or person["url"] else None


def _enclosure(value: _Member, url: str) -> Enclosure | None:
    address = _text(value, "url")
    if not address:
        return None
    return Enclosure(
        url=resolved(url, address) or address, type=_text(value, "mime_type"), length=_text(value, "size_in_bytes")
    )


def _text(value: _Member, name: str) -> str | None:
    """A member that is text, or a number where text was meant; None for anything else."""
    member: object = value.get(name)
    if isinstance(member, str):
        return member
    return str(member) if isinstance(member, int | Decimal) and not isinstance(member, bool) else None


def _all(value: object, read: Callable[[_Member], T | None]) -> list[T]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [found for item in _objects(items) if (found := read(item)) is not None]


def _objects(items: list[object]) -> list[_Member]:
    return [cast("_Member", item) for item in items if isinstance(item, dict)]


def _strings(value: object) -> list[str]:
    return [item for item in cast("list[object]", value) if isinstance(item, str)] if isinstance(value, list) else []
