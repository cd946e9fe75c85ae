"""From the bytes of one document to its entries: which format it is, what its entries are told by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.ingestion.sources.rss.errors import NoFeedError
from kasparro.ingestion.sources.rss.identity import Repeated, guid_hash, keys_of, remembered, repeated_guids
from kasparro.ingestion.sources.rss.json_feed import read_json_feed
from kasparro.ingestion.sources.rss.options import IdentityPolicy
from kasparro.ingestion.sources.rss.xml_feed import XmlFeed, read_xml_feed

_SPACES_AND_MARKS: Final = b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a document. `feed` is the partition, and what relative references are relative to.

    Not the address after redirects: with a mirror's name in them, guids and links would change from day to day.
    `repeated` has the hashes of guids that the feed was seen to repeat earlier.
    """

    feed: str
    content_type: str | None
    identity: IdentityPolicy
    repeated: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document. `repeated` are all guids known to repeat, as hashes; `found` is one that nobody knew of.

    `cut`: the document breaks off inside an entry, which is not among them.
    """

    entries: list[Entry]
    repeated: list[str]
    found: Repeated | None
    ttl_minutes: int | None
    malformed: str | None
    cut: bool


def parse_document(body: bytes, request: Request) -> Document:
    """Entries in the document's order, with their keys. Raises NoFeedError, and nothing else for any bytes."""
    if not body.strip(_SPACES_AND_MARKS):
        raise NoFeedError("is empty")
    feed = _read(body, request)
    here = {guid_hash(found.guid): found for found in _repeated(feed.entries, request.identity)}
    earlier = frozenset(request.repeated)
    keys = keys_of(feed.entries, request.feed, request.identity, earlier | here.keys())
    for entry, key in zip(feed.entries, keys, strict=True):
        entry["_key"] = key
        entry["feed"] = {"url": request.feed, "title": feed.title}
    found = next((here[guid] for guid in here if guid not in earlier), None)
    kept = remembered(request.repeated, list(here), feed.entries)
    return Document(feed.entries, kept, found, feed.ttl_minutes, feed.malformed, feed.cut)


def _repeated(entries: Sequence[Entry], identity: IdentityPolicy) -> Iterator[Repeated]:
    return repeated_guids(entries) if identity == "auto" else iter(())


def _read(body: bytes, request: Request) -> XmlFeed:
    if body[:64].lstrip(_SPACES_AND_MARKS)[:1] in (b"{", b"["):
        title, entries = read_json_feed(body, request.feed)
        return XmlFeed(title, entries, None, None)
    return read_xml_feed(body.lstrip(b" \t\r\n"), request.feed, request.content_type)
