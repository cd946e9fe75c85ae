"""By what an entry is told from others: the ladder of docs/decisions/0008-feeds.md.

guid; guid and link where the feed gives this guid to different entries; link; hash of title and content. Keys begin
with a hash of the feed's URL, since guids such as `1` are unique in their feed only.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from kasparro.ingestion.sources.rss.entry import Entry
from kasparro.ingestion.sources.rss.options import IdentityPolicy

_READABLE_BYTES: Final = 900
"""Longer ones are hashed: a key has 1,024 bytes (schemas/unified.py)."""
MAX_REMEMBERED: Final = 10_000
"""Repeated guids of one feed: 150 kB in its state."""
_Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A guid that stands for different entries: which, and the numbers of two of them (from 1)."""

    guid: str
    first: int
    second: int


def guid_hash(guid: str) -> str:
    """What is remembered of a guid: 12 hexadecimal digits."""
    return blake2b(guid.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def repeated_guids(entries: Sequence[Entry]) -> Iterator[Repeated]:
    """The guids that occur with different links, each once, in the order in which that shows."""
    seen: dict[str, tuple[int, str | None]] = {}
    told: set[str] = set()
    for number, entry in enumerate(entries, 1):
        guid = entry["guid"]
        if not guid:
            continue
        first, link = seen.setdefault(guid, (number, entry["link"]))
        if link != entry["link"] and guid not in told:
            told.add(guid)
            yield Repeated(guid, first, number)


def remembered(known: Sequence[str], found: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    """The hashes of repeated guids to keep after a document, given those kept before and those found in it.

    At most MAX_REMEMBERED: those that have not occurred for longest are forgotten first.
    """
    present = {guid_hash(guid) for entry in entries if (guid := entry["guid"])} if known else set[str]()
    absent = [kept for kept in known if kept not in present]
    return list(dict.fromkeys([*absent, *(kept for kept in known if kept in present), *found]))[-MAX_REMEMBERED:]


def keys_of(
    entries: Sequence[Entry], feed: str, policy: IdentityPolicy, repeated: Collection[str] = frozenset()
) -> list[str | None]:
    """A key for each entry, None where there is nothing to tell it by. `repeated` has hashes of guids; only these get
    the link beside them under `auto`.

    Entries that would share a key although their title or content differ are told apart by a hash of these as well.
    """
    parts = [_parts(entry, policy, repeated) for entry in entries]
    bodies = [_body_hash(entry) for entry in entries]
    variants = Counter(part for part, _ in set(zip(parts, bodies, strict=True)))
    prefix = blake2b(feed.encode(), digest_size=6).hexdigest()
    return [
        None if part is None else f"{prefix}:{_joined(part if variants[part] == 1 else (*part, body))}"
        for part, body in zip(parts, bodies, strict=True)
    ]


def _parts(entry: Entry, policy: IdentityPolicy, repeated: Collection[str]) -> _Parts | None:
    is_repeated = policy == "auto" and bool(repeated and entry["guid"] and guid_hash(entry["guid"]) in repeated)
    rungs = _RUNGS["guid+link" if is_repeated else policy]
    return next(filter(None, (rung(entry) for rung in rungs)), None)


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
