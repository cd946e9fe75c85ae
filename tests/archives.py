"""An upstream with a past: records that are asked for by the window in which they last changed, two a page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.http_server import Reply, Request, Upstream, json_answer

PATH = "/items"
SETTINGS = "key: id, map: {title: title}, allow_private: true, retry: {attempts: 1}, rate_limit: {requests: 1000}"
INCREMENTAL = "incremental: {field: updated, param: since, until_param: until}"
PAGES = "pagination: {type: page, size_param: limit, size: 2}"


def item(key: int, updated: str | None, title: str = "a", **more: Any) -> dict[str, Any]:
    """A record; `updated` is a time of January 2026, such as `05T10`."""
    time = {} if updated is None else {"updated": f"2026-01-{updated}:00:00Z"}
    return {"id": key, "title": title, **time, **more}


@dataclass
class Archive:
    """`before` is called for each request, and may answer it instead. A record without a time is in every window."""

    upstream: Upstream
    items: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    before: Callable[[Request], Reply | None] = lambda _request: None
    ends: bool = True
    """Whether it heeds `until`."""

    def __post_init__(self) -> None:
        self.upstream.on(PATH, self._answer)

    def yaml(self, *more: str, name: str = "items", incremental: str = INCREMENTAL) -> str:
        """A configuration with this one source."""
        settings = ", ".join([SETTINGS, PAGES, incremental, *more])
        return f"sources:\n  - {{name: {name}, type: api, url: '{self.upstream.url}{PATH}', {settings}}}\n"

    def asked(self) -> list[tuple[str | None, str | None, str]]:
        """Since, until and page of each request so far; then forgotten."""
        found = [(each.query.get("since"), each.query.get("until"), each.query["page"]) for each in self._requests()]
        self.upstream.requests.clear()
        return found

    def _requests(self) -> list[Request]:
        return [each for each in self.upstream.requests if each.path == PATH]

    def _answer(self, request: Request) -> Reply:
        instead = self.before(request)
        if instead is not None:
            return instead
        since, until = request.query.get("since", ""), request.query.get("until") if self.ends else None
        found = [each for each in self.items if _lies(each.get("updated"), since, until)]
        begin = (int(request.query["page"]) - 1) * 2
        return json_answer(found[begin : begin + 2])


def _lies(updated: str | None, since: str, until: str | None) -> bool:
    """Both ends included, as many servers have it."""
    return updated is None or (updated >= since and (until is None or updated <= until))
