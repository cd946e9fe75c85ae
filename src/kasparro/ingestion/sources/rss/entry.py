"""The stable form in which an entry of any feed format is kept: what stands in `raw_rss_data`.

All members are always there; what a feed does not say is null or an empty list. Text is as given, markup included;
it is sanitised where it is normalized (`fields.py`).
"""

from typing import Final, Required, TypedDict

SCHEMA_VERSION: Final = 1
"""Raised when this schema or the reading of a format changes, so that unchanged documents are read anew."""


class Person(TypedDict):
    """An author (RFC 4287 section 3.2)."""

    name: str | None
    email: str | None
    url: str | None


class Content(TypedDict):
    """A body; `type` is a media type (`text/plain`, `text/html`, `application/xhtml+xml`, ..)."""

    type: str
    value: str


class Category(TypedDict):
    """A category (RFC 4287 section 4.2.2); in RSS `scheme` is its domain."""

    term: str
    scheme: str | None
    label: str | None


class Enclosure(TypedDict):
    """An attached file; `length` is in bytes, in the feed's own words."""

    url: str
    type: str | None
    length: str | None


class Entry(TypedDict, total=False):
    """One entry as it came. `published` and `updated` are as given, `.._parsed` as `dates.read_time` gives them."""

    guid: Required[str | None]
    link: Required[str | None]
    title: Required[str | None]
    title_type: Required[str]
    authors: Required[list[Person]]
    summary: Required[str | None]
    summary_type: Required[str]
    content: Required[list[Content]]
    categories: Required[list[Category]]
    enclosures: Required[list[Enclosure]]
    published: Required[str | None]
    published_parsed: Required[str | None]
    updated: Required[str | None]
    updated_parsed: Required[str | None]
    language: Required[str | None]
    base: Required[str | None]
    """What relative references in the text are relative to, where the feed says so (xml:base)."""
    _key: str | None
    """The record's key (`identity.py`); null where there is nothing to tell it by."""
    feed: dict[str, str | None]
    """`url` (the partition) and `title` of the feed."""


KEY_FIELD: Final = "_key"
