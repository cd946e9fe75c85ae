"""The fields of a unified record that an entry gives when its source has no `map:`. Pure; HTML is sanitised here."""

from typing import Any, Final, cast

from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.ingestion.sources.rss.entry import KEY_FIELD, Entry
from kasparro.ingestion.sources.rss.references import resolved
from kasparro.ingestion.sources.rss.sanitize import clean_html, clean_text, safe_url, without_markup
from kasparro.schemas.readings import time_reading

_HTML_TYPES: Final = ("text/html", "application/xhtml+xml")


def default_key(payload: Payload) -> str:
    """The key that the entry was given when it was read. Raises RecordRejected where it has none."""
    key: object = payload.get(KEY_FIELD)
    if not isinstance(key, str):
        raise RecordRejected(Defect("key_missing", "the entry has nothing to tell it by", "record_key"))
    return key


def default_fields(payload: Payload, timezone: str = "UTC") -> dict[str, object]:
    """All that a unified record can take from an entry, `record_key` too where it has one; without empty fields.

    `title` is plain text, `body` sanitised HTML (the first HTML content, else the first content, else the summary),
    `url` and enclosures are http or https. `timezone` is that of times without one.
    """
    entry = cast("Entry", payload)
    terms = (without_markup(category["label"] or category["term"]) for category in entry["categories"])
    tags = list(dict.fromkeys(filter(None, terms)))
    time = entry["published_parsed"] or entry["updated_parsed"]
    fields: dict[str, object | None] = {
        "record_key": payload.get(KEY_FIELD),
        "title": without_markup(entry["title"]) if entry["title"] else None,
        "body": safe_body(entry),
        "url": safe_url(entry["link"]),
        "author": ", ".join(filter(None, map(_name, entry["authors"]))),
        "category": tags[0] if tags else None,
        "tags": tags,
        "occurred_at": time_reading(timezone, frozenset())(time) if time else None,
        "attributes": _attributes(entry),
    }
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def safe_body(entry: Entry) -> str | None:
    """The entry's text as sanitised HTML with absolute references; None where it has none."""
    contents = [(part["type"], part["value"]) for part in entry["content"] if part["value"].strip()]
    summary = [(entry["summary_type"], entry["summary"])] if entry["summary"] else []
    ordered = sorted(contents, key=lambda content: content[0] not in _HTML_TYPES)
    readable = [
        content for content in (*ordered, *summary) if content[0].startswith("text/") or content[0] in _HTML_TYPES
    ]
    if not readable:
        return None
    kind, text = readable[0]
    return clean_html(text, base_of(entry)) if kind in _HTML_TYPES else clean_text(text)


def base_of(entry: Entry) -> str:
    """What relative references in the text are relative to: the feed's own word, else its URL."""
    feed = str(entry.get("feed", {}).get("url"))
    base = resolved(feed, entry["base"] or "")
    return base if safe_url(base) else feed


def safe_mapped(payload: Payload, fields: dict[str, object]) -> dict[str, object]:
    """Fields that a mapping took from an entry, made as harmless as the default ones; null where nothing is left."""
    base = base_of(cast("Entry", payload))
    safe = dict(fields)
    for name, value in fields.items():
        if isinstance(value, str):
            safe[name] = _safe(name, value, base)
    return safe


def _safe(name: str, text: str, base: str) -> str | None:
    if name == "body":
        return clean_html(text, base)
    if name == "url":
        return safe_url(text)
    return without_markup(text) if name in ("title", "author") else text


def _name(person: Any) -> str | None:
    name = person["name"] or person["email"]
    return without_markup(name) if name else None


def _attributes(entry: Entry) -> dict[str, Any]:
    feed = entry.get("feed", {})
    enclosures = [enclosure for enclosure in entry["enclosures"] if safe_url(enclosure["url"])]
    found: dict[str, Any] = {
        "feed_url": feed.get("url"),
        "feed_title": without_markup(feed.get("title") or ""),
        "guid": entry["guid"],
        "updated": entry["updated_parsed"],
        "language": entry["language"],
        "enclosures": enclosures,
    }
    return {name: value for name, value in found.items() if value}
