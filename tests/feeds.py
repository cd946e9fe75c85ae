"""Feeds for tests: documents written out, and a fetcher that answers from files with validators, as a server would."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from kasparro.core.errors import UpstreamError
from kasparro.ingestion.http.contract import Fetched, Validators
from kasparro.ingestion.source import Batch, FinalBatch, SourceRecord, Start
from kasparro.ingestion.sources.rss.fields import default_fields
from kasparro.ingestion.sources.rss.options import RssOptions
from kasparro.ingestion.sources.rss.source import RssSource

HOST = "https://feeds.example.org"


@dataclass
class Folder:
    """Answers `HOST/name` with the file `name`; `types` are media types by name. What was asked stands in `asked`."""

    path: Path
    types: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[tuple[str, Validators | None]] = field(default_factory=list[tuple[str, Validators | None]])

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Validators | None = None,
        accept: Collection[int] = (),
    ) -> Fetched:
        del params, headers, accept
        self.asked.append((url, validators))
        name = urlsplit(url).path.removeprefix("/")
        if not (self.path / name).is_file():
            raise UpstreamError(f"{url}: answered 404", url=url, status=404)
        body = (self.path / name).read_bytes()
        current = Validators(f'"{sha256(body).hexdigest()[:8]}"', "Wed, 03 Jan 2024 12:00:00 GMT")
        given = {"content-type": self.types.get(name, "application/xml")}
        if validators is not None and validators.etag == current.etag:
            return Fetched(url, 304, given, b"", current, not_modified=True)
        return Fetched(url, 200, given, body, current)


def folder_source(folder: Folder, *names: str, **options: object) -> RssSource:
    """A source over files of a folder."""
    urls = tuple(f"{HOST}/{name}" for name in names)
    return RssSource(RssOptions("news", urls, **options), folder, default_fields)  # pyright: ignore[reportArgumentType]


async def read(source: RssSource, partition: str, start: Start | None = None) -> list[Batch | FinalBatch]:
    """All that a read yields."""
    return [item async for item in source.read(partition, start or Start())]


def records_of(items: list[Batch | FinalBatch]) -> list[SourceRecord]:
    return [record for item in items if isinstance(item, Batch) for record in item.records]


def rss(*items: str, head: str = "<title>News</title>") -> bytes:
    """An RSS 2.0 document with these items."""
    inside = "".join(f"<item>{item}</item>\n" for item in items)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel>{head}\n{inside}</channel></rss>'.encode()
    )


def numbered(count: int, prefix: str = "") -> bytes:
    """RSS with entries 1 to `count`."""
    return rss(
        *(
            f"<guid>{prefix}{n}</guid><title>Entry {n}</title><link>https://example.org/{prefix}{n}</link>"
            f"<description>Text {n}</description><pubDate>Wed, 03 Jan 2024 12:{n % 60:02}:00 GMT</pubDate>"
            for n in range(1, count + 1)
        )
    )
