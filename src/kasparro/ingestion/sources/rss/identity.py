"""By what an entry is told from others: the ladder of docs/decisions/0008-feeds.md.

guid; guid and link where the feed repeats guids for different entries; link; hash of title and content. Keys begin
with a hash of the feed's URL, since guids such as `1` are unique in their feed only.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.ingestion.sources.rss.options import IdentityPolicy

_READABLE_BYTES: Final = 900
"""Longer ones are hashed: a key has 1,024 bytes (schemas/unified.py)."""
_Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A guid that stands for different entries: which, and the numbers of two of them (from 1)."""

    guid: str
    first: int
    second: int


def repeated_guid(entries: Sequence[Entry]) -> Repeated | None:
    """The first guid that occurs with two different links."""
    seen: dict[str, tuple[int, str | None]] = {}
    for number, entry in enumerate(entries, 1):
        guid = entry["guid"]
        if not guid:
            continue
        first, link = seen.setdefault(guid, (number, entry["link"]))
        if link != entry["link"]:
            return Repeated(guid, first, number)
    return None


def keys_of(entries: Sequence[Entry], feed: str, policy: IdentityPolicy) -> list[str | None]:
    """A key for each entry, None where there is nothing to tell it by. `auto` here means: guids are not repeated.

    Entries that would share a key although their title or content differ are told apart by a hash of these as well.
    """
    rungs = _RUNGS[policy]
    parts = [next(filter(None, (rung(entry) for rung in rungs)), None) for entry in entries]
    bodies = [_body_hash(entry) for entry in entries]
    variants = Counter(part for part, _ in set(zip(parts, bodies, strict=True)))
    prefix = blake2b(feed.encode(), digest_size=6).hexdigest()
    return [
        None if part is None else f"{prefix}:{_joined(part if variants[part] == 1 else (*part, body))}"
        for part, body in zip(parts, bodies, strict=True)
    ]


def _joined(parts: _Parts) -> str:
    first, *others = parts
    text = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts) if others else first
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _READABLE_BYTES and text.isprintable():
        return text
    return blake2b(encoded, digest_size=16).hexdigest()


def _guid(entry: Entry) -> _Parts | None:
    return (entry["guid"],) if entry["guid"] else None


def _guid_and_link(entry: Entry) -> _Parts | None:
    return (entry["guid"], entry["link"]) if entry["guid"] and entry["link"] else None


def _link(entry: Entry) -> _Parts | None:
    return (entry["link"],) if entry["link"] else None


def _content(entry: Entry) -> _Parts | None:
    said = entry["title"] or entry["summary"] or any(content["value"] for content in entry["content"])
    return (_body_hash(entry),) if said else _file(entry)


def _file(entry: Entry) -> _Parts | None:
    return (entry["enclosures"][0]["url"],) if entry["enclosures"] else None


def _body_hash(entry: Entry) -> str:
    """Over title and content; the summary where there is no content."""
    content = [part["value"] for part in entry["content"]] or [entry["summary"]]
    return blake2b(json.dumps([entry["title"], content]).encode(), digest_size=16).hexdigest()


_RUNGS: Final[dict[IdentityPolicy, tuple[Callable[[Entry], _Parts | None], ...]]] = {
    "auto": (_guid, _link, _content),
    "guid": (_guid, _link, _content),
    "guid+link": (_guid_and_link, _guid, _link, _content),
    "link": (_link, _guid, _content),
    "content": (_content,),
}
