"""RSS 0.9x to 2.0, RDF, Atom and CDF by feedparser, which gets bytes only and makes no request.

Runs in the process of `child.py`: feedparser may take for ever on hostile input.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Final, cast

from kasparro.ingestion.sources.rss.cut import is_cut, watch, whole_characters
from kasparro.ingestion.sources.rss.dates import read_time
from kasparro.ingestion.sources.rss.entry import Category, Content, Enclosure, Entry, Person
from kasparro.ingestion.sources.rss.errors import NoFeedError, beginning
from kasparro.ingestion.sources.rss.references import resolved

_Raw = dict[str, Any]
_HEAD_BYTES: Final = 256 * 1024
_ENTITY: Final = re.compile(
    rb"<!ENTITY\s+(%\s+)?([^\s>]+)\s+(?:(SYSTEM|PUBLIC)\b|\"([^\"]*)\"|'([^']*)')", re.IGNORECASE
)
_MAX_ENTITY_BYTES: Final = 10_000
_HTML: Final = re.compile(rb"\A(?:\s|<!--.*?-->|<\?.*?\?>)*<(?:!doctype\s+)?html\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class XmlFeed:
    """What a document holds. `malformed` says what is wrong with it where it was read all the same.

    `cut`: it breaks off inside an entry, which is left out.
    """

    title: str | None
    entries: list[Entry]
    ttl_minutes: int | None
    malformed: str | None
    cut: bool = False


def read_xml_feed(body: bytes, url: str, content_type: str | None) -> XmlFeed:
    """Entries of a document, references in its links resolved against `url`. Raises NoFeedError."""
    feedparser = _feedparser()
    body = whole_characters(body)
    refuse_dangerous(body)
    headers = {"content-location": url} | ({"content-type": content_type} if content_type else {})
    try:
        parse: Any = feedparser.parse
        result = cast(
            "_Raw", parse(_Bytes(body), response_headers=headers, sanitize_html=False, resolve_relative_uris=False)
        )
    except Exception as error:  # noqa: BLE001 - whatever a parser of strangers' documents raises, it is the document's
        raise NoFeedError(
            f"cannot be parsed ({type(error).__name__}: {error}); it begins with: {beginning(body)}"
        ) from None
    raw_entries = _list(result, "entries")
    broken, is_html = _malformed(result, body), _HTML.match(body[:_HEAD_BYTES].replace(b"\x00", b"")) is not None
    if not raw_entries and (is_html or not _plain(result, "version")):
        if is_html:
            raise NoFeedError(f"is an HTML page, not a feed; it begins with: {beginning(body)}")
        reason = f" ({broken})" if broken else ""
        raise NoFeedError(f"is no feed{reason}; it begins with: {beginning(body)}")
    feed = cast("_Raw", _plain(result, "feed") or {})
    entries = [_entry(entry, url) for entry in raw_entries if not is_cut(entry)]
    cut = len(entries) < len(raw_entries)
    return XmlFeed(_string(feed, "title"), entries, _minutes(_string(feed, "ttl")), broken, cut)


@cache
def _feedparser() -> Any:
    """feedparser, which says where a document breaks off, and leaves guids as they are.

    Made absolute, they would change with the feed's address.
    """
    api: Any = import_module("feedparser.api")
    for kind in (api.StrictFeedParser, api.LooseFeedParser):
        kind.can_be_relative_uri = kind.can_be_relative_uri - {"id"}
    watch(api.LooseFeedParser)
    mixin: Any = import_module("feedparser.mixin")
    mixin.make_safe_absolute_uri = lru_cache(1024)(mixin.make_safe_absolute_uri)  # asked anew for each element
    return import_module("feedparser")


class _Bytes:
    """A stream, so that feedparser never takes the document for a path or an address."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body


def refuse_dangerous(body: bytes) -> None:
    """Raises NoFeedError for entities that expand into others, into much, or reach outside.

    feedparser drops such entities and loads nothing from outside; a document that defines them is still no feed.
    """
    head = body[:_HEAD_BYTES].replace(b"\x00", b"")  # UTF-16 and UTF-32 read as ASCII
    start = re.search(rb"<!DOCTYPE", head, re.IGNORECASE)
    root = re.search(rb"<[A-Za-z_]", head)
    if start is None or (root is not None and root.start() < start.start()):
        return
    declared = _ENTITY.findall(head[start.start() : root.start() if root else len(head)])
    for parameter, name, outside, double, single in declared:
        value = cast("bytes", double or single)
        if parameter or outside or re.search(rb"[&%](?!#)", value) or len(value) > _MAX_ENTITY_BYTES:
            shown = cast("bytes", name).decode("ascii", "replace")
            raise NoFeedError(f"defines the entity {shown!r}, which expands or reaches outside: not parsed")


def _malformed(result: _Raw, body: bytes) -> str | None:
    """What keeps a document from being well-formed; a wrong media type or charset in a header does not."""
    error = _plain(result, "bozo_exception")
    if not _plain(result, "bozo") or type(error).__name__ in ("CharacterEncodingOverride", "NonXMLContentType"):
        return None
    line = getattr(error, "getLineNumber", int)() or 0
    line -= not body.startswith(b"<?xml")  # feedparser puts a declaration where there is none
    message = getattr(error, "getMessage", lambda: str(error))()
    return f"line {line}: {message}" if line > 0 else str(message)


def _entry(raw: _Raw, url: str) -> Entry:
    published, updated = _string(raw, "published"), _string(raw, "updated")
    title, summary = _detail(raw, "title"), _detail(raw, "summary")
    content, tags = _list(raw, "content"), _list(raw, "tags")
    copied = bool(content) and _plain(raw, "summary_detail") is None  # feedparser repeats the content there
    link = _string(raw, "link")
    bases = [_string(part, "base") for part in (*content, summary, title)]
    base = next((base for base in bases if base and base != url), None)
    return Entry(
        guid=_string(raw, "id"),
        link=(resolved(url, link) or None) if link else None,
        title=_string(raw, "title"),
        title_type=_string(title, "type") or "text/plain",
        authors=_authors(raw),
        summary=None if copied else _string(raw, "summary"),
        summary_type=_string(summary, "type") or "text/html",
        content=[_content(part) for part in content],
        categories=[_category(tag) for tag in tags if _plain(tag, "term") or _plain(tag, "label")],
        enclosures=_enclosures(raw, url),
        published=published,
        published_parsed=read_time(published),
        updated=updated,
        updated_parsed=read_time(updated),
        language=next(filter(None, (_string(part, "language") for part in (*content, summary, title))), None),
        base=base,
    )


def _plain(raw: Mapping[str, Any], name: str) -> Any:
    """A member as it is: feedparser's own look-up gives other members where this one is missing."""
    return cast("Any", dict).get(raw, name)


def _string(raw: Mapping[str, Any], name: str) -> str | None:
    value: object = _plain(raw, name)
    return value if isinstance(value, str) and value else None


def _list(raw: _Raw, name: str) -> list[_Raw]:
    return cast("list[_Raw]", _plain(raw, name) or [])


def _detail(raw: _Raw, name: str) -> _Raw:
    return cast("_Raw", _plain(raw, f"{name}_detail") or {})


def _content(part: _Raw) -> Content:
    return Content(type=_string(part, "type") or "text/plain", value=_string(part, "value") or "")


def _authors(raw: _Raw) -> list[Person]:
    people = [
        Person(name=_string(each, "name"), email=_string(each, "email"), url=_string(each, "href"))
        for each in _list(raw, "authors")
    ]
    named = [person for person in people if any(person.values())]
    author = _string(raw, "author")
    return named or ([Person(name=author, email=None, url=None)] if author else [])


def _category(tag: _Raw) -> Category:
    term, label = _string(tag, "term"), _string(tag, "label")
    return Category(term=term or label or "", scheme=_string(tag, "scheme"), label=label)


def _enclosures(raw: _Raw, url: str) -> list[Enclosure]:
    return [
        Enclosure(url=resolved(url, href) or href, type=_string(link, "type"), length=_string(link, "length"))
        for link in _list(raw, "links")
        if _plain(link, "rel") == "enclosure" and (href := _string(link, "href"))
    ]


def _minutes(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else None
