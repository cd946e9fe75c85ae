"""A collection behind a REST API, paged in each of the ways that real ones page, for the scripted server."""

import json
from collections.abc import AsyncGenerator, Mapping
from collections.abc import Collection as Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.http.contract import Fetched, HttpPolicy, Validators
from kasparro.ingestion.sources.api import (
    ApiOptions,
    ApiSource,
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    OffsetPagination,
    PagePagination,
    Pagination,
)
from tests.http_server import Answer, Reply, Request, Upstream, answer

Kind = Literal["page", "offset", "cursor", "next_url", "link_header", "whole"]
KINDS: tuple[Kind, ...] = ("page", "offset", "cursor", "next_url", "link_header", "whole")
PAGINATIONS: dict[Kind, Pagination | None] = {
    "page": PagePagination(),
    "offset": OffsetPagination(),
    "cursor": CursorPagination("meta.next"),
    "next_url": NextUrlPagination("meta.next"),
    "link_header": LinkHeaderPagination(),
    "whole": None,
}


@dataclass
class Collection:
    """Answers with its `records`, `size` to a page; `since` asks for those with `updated` at or after it.

    `beyond`: the status behind the last numbered page (200: an empty list).
    """

    records: list[dict[str, Any]]
    kind: Kind = "page"
    size: int = 4
    beyond: int = 200
    meta: dict[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, request: Request) -> Reply:
        query = request.query
        since = query.get("since")
        found = [each for each in self.records if since is None or str(each.get("updated")) >= since]
        if self.kind == "whole":
            return reply({"data": found})
        if self.kind == "page":
            start = (int(query.get("page", "1")) - 1) * self.size
        else:
            start = int(query.get("offset", query.get("cursor", "0")))
        page, more = found[start : start + self.size], start + self.size < len(found)
        if not page and start > 0 and self.beyond != 200:
            return answer(self.beyond, '{"detail": "no such page"}')
        return self._page(request, page, str(start + self.size) if more else None)

    def _page(self, request: Request, page: list[dict[str, Any]], following: str | None) -> Reply:
        url = None
        if following is not None:
            url = f"{request.path}?{urlencode({**request.query, 'cursor': following})}"
        if self.kind == "link_header":
            headers = {"Link": f'<{url}>; rel="next"'} if url else {}
            return reply({"data": page, "meta": self.meta}, headers)
        named = url if self.kind == "next_url" else following
        return reply({"data": page, "meta": {**self.meta, "next": named}})


def reply(value: Any, headers: dict[str, str] | None = None) -> Reply:
    return answer(200, json.dumps(value), {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Allowance:
    """Answers of a collection until so many requests were answered; then 500, until there is a new allowance."""

    pages: Collection
    left: int = 0

    def __call__(self, request: Request) -> Reply:
        self.left -= 1
        return self.pages(request) if self.left >= 0 else answer(500, "not now")


def options_of(upstream: Upstream, kind: Kind = "page", path: str = "/items", **more: Any) -> ApiOptions:
    """Options for a collection at `path`."""
    values: dict[str, Any] = {"records": "data", "pagination": PAGINATIONS[kind], **more}
    return ApiOptions("items", upstream.url + path, **values)


@asynccontextmanager
async def client() -> AsyncGenerator[HttpClient]:
    async with HttpClient(user_agent="kasparro-test/1", contact="test@example.org") as opened:
        yield opened


def source_of(http: HttpClient, options: ApiOptions, *, attempts: int = 1, **more: Any) -> ApiSource:
    """A source that may reach loopback, tries once, and is in no way slowed down."""
    policy = HttpPolicy(requests=100_000, attempts=attempts, allow_private=True)
    return ApiSource(options, http.bound(policy, source=options.name), dict, **more)


@dataclass(frozen=True)
class Direct:
    """A fetcher that hands the answers of a script over without a socket, for tests that need no server."""

    script: Answer

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Validators | None = None,
        accept: Container[int] = (),
    ) -> Fetched:
        del params, validators, accept
        target = urlsplit(url)._replace(scheme="", netloc="").geturl()
        given = self.script if isinstance(self.script, Reply) else self.script(Request("GET", target, headers or {}))
        _, body = given.steps
        assert isinstance(body, bytes)
        return Fetched(url, 200, {"content-type": "application/json"}, body, Validators())


def direct_source(script: Answer) -> ApiSource:
    """A source that pages by tokens over a script of good answers."""
    options = ApiOptions(
        "items", "https://api.example.org/items", records="data", pagination=CursorPagination("meta.next")
    )
    return ApiSource(options, Direct(script), dict)
