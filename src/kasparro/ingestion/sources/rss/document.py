"""From the bytes of one document to its entries: which format it is, what its entries are told by."""

from dataclasses import dataclass
from typing import Final

from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.ingestion.sources.rss.errors import NoFeedError
from kasparro.ingestion.sources.rss.identity import Repeated, keys_of, repeated_guid
from kasparro.ingestion.sources.rss.json_feed import read_json_feed
from kasparro.ingestion.sources.rss.options import IdentityPolicy
from kasparro.ingestion.sources.rss.xml_feed import XmlFeed, read_xml_feed

_SPACES_AND_MARKS: Final = b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a document. `feed` is the partition, and what relative references are relative to.

    Not the address after redirects: with a mirror's name in them, guids and links would change from day to day.
    """

    feed: str
    content_type: str | None
    identity: IdentityPolicy


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. `identity` is `guid+link` once guids repeat; `repeated` is what was found in this one."""

    entries: list[Entry]
    identity: IdentityPolicy
    repeated: Repeated | None
    ttl_minutes: int | None
    malformed: str | None


def parse_document(body: bytes, request: Request) -> Document:
    """Entries in the document's order, with their keys. Raises NoFeedError, and nothing else for any bytes."""
    if not body.strip(_SPACES_AND_MARKS):
        raise NoFeedError("is empty")
    feed = _read(body, request)
    repeated = repeated_guid(feed.entries) if request.identity == "auto" else None
    identity = "guid+link" if repeated else request.identity
    keys = keys_of(feed.entries, request.feed, identity)
    for entry, key in zip(feed.entries, keys, strict=True):
        entry["_key"] = key
        entry["feed"] = {"url": request.feed, "title": feed.title}
    return Document(feed.entries, identity, repeated, feed.ttl_minutes, feed.malformed)


def _read(body: bytes, request: Request) -> XmlFeed:
    if body[:64].lstrip(_SPACES_AND_MARKS)[:1] in (b"{", b"["):
        title, entries = read_json_feed(body, request.feed)
        return XmlFeed(title, entries, None, None)
    return read_xml_feed(body.lstrip(b" \t\r\n"), request.feed, request.content_type)
