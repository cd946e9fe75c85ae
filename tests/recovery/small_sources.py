"""The same 23 records as a CSV file, an API and a feed: small batches, repeated keys, and two that are rejected."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.source import BatchLimits
from kasparro.ingestion.sources.rss import source
from kasparro.ingestion.sources.rss.process import ParserProcess
from kasparro.schemas.configuration import load_configuration
from tests.feeds import rss
from tests.fix_http import authorities
from tests.http_server import Reply, Request, Upstream, answer, json_answer

SMALL = BatchLimits(records=5)
"""Five batches, and so two or more of each of two lanes."""
TYPES = ("csv", "api", "rss")
_LENIENT = "reject_limit: {share: 1.0, min_records: 1000}"
_HTTP = "allow_private: true, rate_limit: {requests: 100000}, retry: {attempts: 1}"
CONFIGURATION = f"""
sources:
  - {{name: csv, type: csv, path: items.csv, key: id, {_LENIENT}, map: {{title: name, value: price, category: kind}}}}
  - {{name: api, type: api, url: "UPSTREAM/items", {_HTTP}, {_LENIENT}, records: items, key: id,
     pagination: {{type: offset, param: offset, size_param: limit, size: 5}},
     map: {{title: name, value: price, category: kind}}}}
  - {{name: rss, type: rss, url: "UPSTREAM/feed", {_HTTP}, {_LENIENT},
     map: {{title: title, value: summary}}}}
"""


def items() -> list[dict[str, str]]:
    """20 items, one of them twice with another price, one twice as it was, and two whose price is no number."""
    rows = [{"id": f"i{n}", "name": f"item {n}", "price": f"{n}.50", "kind": "x"} for n in range(20)]
    rows[7]["price"] = "seven"
    rows.insert(12, {"id": "i3", "name": "item 3 again", "price": "3.75", "kind": "y"})
    rows.insert(18, {"id": "bad", "name": "item", "price": "not a number", "kind": "x"})
    rows.insert(19, {"id": "i4", "name": "item 4", "price": "4.50", "kind": "x"})
    return rows


class SmallSources:
    """Makes jobs of the sources, as often as they are wanted, each under a name of its own."""

    def __init__(self, folder: Path, upstream_url: str, client: HttpClient) -> None:
        self._folder = folder
        self.path = folder / "kasparro.yaml"
        self.path.write_text(CONFIGURATION.replace("UPSTREAM", upstream_url), encoding="utf-8")
        configured = load_configuration(self.path, {}).sources
        self._configured = {config.name: config for config in configured}
        self._client = client

    def job(self, source_type: str, name: str) -> SourceJob:
        config = self._configured[source_type].model_copy(update={"name": name})
        return build_job(config, self._folder, self._client.bound)


@asynccontextmanager
async def small_sources(folder: Path, upstream: Upstream) -> AsyncGenerator[SmallSources]:
    """Write the files into the folder and set the upstream's answers; the client lives as long as the block."""
    header = "id,name,price,kind"
    lines = [",".join(row.values()) for row in items()]
    (folder / "items.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    upstream.on("/items", _page)
    upstream.on("/feed", answer(body=_feed(), headers={"Content-Type": "application/rss+xml"}))
    async with (
        HttpClient(user_agent="kasparro/test", contact="https://example.org/us", tls=authorities()) as client,
        _one_parser(),
    ):
        yield SmallSources(folder, upstream.url, client)


@asynccontextmanager
async def _one_parser() -> AsyncGenerator[None]:
    """Feeds are parsed in one process of its own, not in one for each run: starting it takes longer than a run."""
    async with ParserProcess(60) as parser:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "ParserProcess", lambda _seconds: nullcontext(parser))
            yield


def _page(request: Request) -> Reply:
    offset, limit = int(request.query["offset"]), int(request.query["limit"])
    return json_answer({"items": items()[offset : offset + limit]})


def _feed() -> bytes:
    return rss(*map(_entry, items()))


def _entry(item: Mapping[str, Any]) -> str:
    return f"<guid>{item['id']}</guid><title>{item['name']}</title><description>{item['price']}</description>"
