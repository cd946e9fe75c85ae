"""What `kasparro sample` can tell of a source beyond its records: how it is written, and what might be configured."""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from kasparro.schemas.readings import Defective, shown, time_reading

if TYPE_CHECKING:
    from kasparro.ingestion.http.contract import Fetched, Fetcher, HttpPolicy
    from kasparro.ingestion.registry import Fetchers
    from kasparro.ingestion.source import Payload, Source, SourceRecord
    from kasparro.schemas.configuration import AnySourceConfig

_DEEPEST: Final = 4
_MOST: Final = 8
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIRST_TAG: Final = re.compile(rb"<(?:\w+:)?(rss|feed|RDF)\b([^>]*)>", re.IGNORECASE)
_ENTRY_TAG: Final = re.compile(rb"<(?:\w+:)?(?:item|entry)[\s/>]", re.IGNORECASE)
_VERSION: Final = re.compile(rb"version\s*=\s*[\"']([\w.]+)")
_NEXT_NAME: Final = re.compile(r"next|cursor|continu|scroll|page_?token", re.IGNORECASE)
_KEY_NAME: Final = re.compile(r"(?:^|[._])(?:id|uuid|guid|key|code|slug|symbol)\"?$", re.IGNORECASE)
_CHANGE_NAME: Final = re.compile(r"updat|modif|chang|edit", re.IGNORECASE)
_EPOCHS: Final = (("epoch_s", 10**9), ("epoch_ms", 10**12))
"""With the least number that is taken for such a time: September 2001."""


@dataclass(slots=True)
class Answers:
    """Remembers what the HTTP client answered, in the order of the requests."""

    fetchers: "Fetchers"
    seen: "list[Fetched]" = field(default_factory=list[Any])

    def __call__(self, policy: "HttpPolicy", *, source: str) -> "Fetcher":
        return _Remembering(self.fetchers(policy, source=source), self.seen)


@dataclass(frozen=True, slots=True)
class _Remembering:
    fetcher: "Fetcher"
    seen: "list[Fetched]"

    async def get(self, url: str, **details: Any) -> "Fetched":
        answer = await self.fetcher.get(url, **details)
        self.seen.append(answer)
        return answer


async def detected_in(reader: "Source", partitions: "Sequence[str]", answers: "Sequence[Fetched]") -> dict[str, str]:
    """How each partition that was read is written, in one line."""
    from kasparro.ingestion.sources.csv import CsvSource

    if isinstance(reader, CsvSource):
        found = {partition: await reader.detected(partition) for partition in partitions}
        return {
            partition: str(detected) if detected else "nothing to read yet" for partition, detected in found.items()
        }
    if reader.type == "rss":
        return {name: _described_feed(answer) for name, answer in zip(partitions, answers, strict=False)}
    size = sum(len(answer.body) for answer in answers)
    kind = answers[0].headers.get("content-type", "no content type") if answers else "nothing"
    return {partitions[0]: f"{kind}, {_counted(len(answers), 'page')} fetched, {size:,} bytes"}


def findings_of(records: "Sequence[SourceRecord]", answers: "Sequence[Fetched]", kind: str) -> dict[str, str]:
    """What might be configured: where records stand, what names them, what tells that they changed, what comes next."""
    payloads = [record.payload for record in records]
    findings: dict[str, list[str]] = {}
    if kind == "api" and answers:
        page = _parsed(answers[0].body)
        findings["records at"] = [f"{path or 'the top'} ({count})" for path, count in _lists(page)]
        findings["next page"] = [*_linked(answers[0].headers), *_next_names(page)]
    if payloads and kind != "rss":
        findings["key candidates"] = _key_candidates(payloads)
        findings["watermark candidates"] = _watermark_candidates(payloads)
    return {name: ", ".join(texts[:_MOST]) or "none found" for name, texts in findings.items()}


def watermark_in(config: "AnySourceConfig", records: "Sequence[SourceRecord]") -> dict[str, str]:
    """Where `incremental` is configured, which time of these records would be the watermark, or that none can be."""
    from kasparro.ingestion.registry import api_options
    from kasparro.ingestion.sources.api.parsing import greatest_stamp
    from kasparro.ingestion.sources.api.search import Search
    from kasparro.schemas.configuration import ApiSourceConfig

    incremental = api_options(config).incremental if isinstance(config, ApiSourceConfig) else None
    if incremental is None or not records:
        return {}
    payloads = [record.payload for record in records]
    greatest = greatest_stamp(incremental, Search(incremental.field), payloads, datetime.now(UTC))
    return {"watermark": greatest.text if greatest else f"{incremental.found_nowhere()}: every run reads them again"}


def _described_feed(answer: "Fetched") -> str:
    """Format, title and number of entries, told from the text of the document."""
    page = _parsed(answer.body)
    if isinstance(page, dict):
        feed = cast("dict[str, Any]", page)
        entries = cast("list[Any]", feed.get("items") or [])
        return f"JSON Feed, {_titled(feed.get('title'))}, {_counted(len(entries), 'entry', 'entries')}"
    root = _FIRST_TAG.search(answer.body)
    name = root[1].lower() if root else b""
    version = _VERSION.search(root[2]) if root else None
    formats = {
        b"feed": "Atom",
        b"rdf": "RDF (RSS 1.0)",
        b"rss": f"RSS {version[1].decode() if version else ''}".strip(),
    }
    entries_found = len(_ENTRY_TAG.findall(answer.body))
    title = re.search(rb"<(?:\w+:)?title[^>]*>(?:<!\[CDATA\[)?([^<\]]*)", answer.body)
    shown_title = _titled(html.unescape(title[1].decode("utf-8", "replace").strip()) if title else None)
    return f"{formats.get(name, 'unknown format')}, {shown_title}, {_counted(entries_found, 'entry', 'entries')}"


def _titled(title: object) -> str:
    return f'"{shown(title)}"' if isinstance(title, str) and title else "without title"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _parsed(body: bytes) -> Any:
    """The JSON document; None for anything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _lists(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """Paths of lists of objects, outermost first, with the number of their items."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if items and all(isinstance(item, dict) for item in items):
            yield path, len(items)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, item in cast("dict[str, Any]", value).items():
            yield from _lists(item, _joined(path, name), depth + 1)


def _linked(headers: Mapping[str, str]) -> list[str]:
    return ["link_header"] if re.search(r"rel=\"?next\b", headers.get("link", "")) else []


def _next_names(page: Any) -> list[str]:
    if not isinstance(page, dict):
        return []
    found = [
        (path, value)
        for path, value in leaves(cast("dict[str, Any]", page))
        if _NEXT_NAME.search(path) and isinstance(value, str | int) and value and value is not True
    ]
    return [f"{path} ({'next_url' if str(value).startswith(('http', '/')) else 'cursor'})" for path, value in found]


def _key_candidates(payloads: "Sequence[Payload]") -> list[str]:
    """Paths with another text or whole number in each record; those that sound like names come first."""
    if len(payloads) < 2:
        return []
    found = [
        path
        for path, values in _columns(payloads).items()
        if len(values) == len(payloads)
        and all(isinstance(value, str | int) and value != "" for value in values)
        and len(set(map(str, values))) == len(values)
    ]
    return sorted(found, key=lambda path: not _KEY_NAME.search(path))


def _watermark_candidates(payloads: "Sequence[Payload]") -> list[str]:
    """Paths with times, and how they are written; those that sound like changes come first."""
    found = [(path, _time_format(values)) for path, values in _columns(payloads).items()]
    times = [(path, written) for path, written in found if written]
    times.sort(key=lambda item: not _CHANGE_NAME.search(item[0]))
    return [f"{path} ({written})" for path, written in times]


def _time_format(values: Sequence[Any]) -> str | None:
    if not values:
        return None
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        fitting = [name for name, least in _EPOCHS if all(least <= value < least * 5 for value in values)]
        return fitting[0] if fitting else None
    reading = time_reading("UTC", frozenset())
    try:
        for value in values:
            reading(value)
    except Defective:
        return None
    return "iso8601"


def _columns(payloads: "Sequence[Payload]") -> dict[str, list[Any]]:
    """The values at each path that are neither null nor containers."""
    columns: dict[str, list[Any]] = {}
    for payload in payloads:
        for path, value in leaves(payload):
            if value is not None and not isinstance(value, list | Mapping):
                columns.setdefault(path, []).append(value)
    return columns


def leaves(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each value with its path; a list, an empty object and what is nested deep are one value."""
    return _leaves(value, "", 0)


def _leaves(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        here = _joined(path, name)
        if isinstance(item, Mapping) and item and depth < _DEEPEST:
            yield from _leaves(cast("Mapping[str, Any]", item), here, depth + 1)
        else:
            yield here, item


def _joined(path: str, name: str) -> str:
    quoted = name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{path}.{quoted}" if path else quoted
