"""The demo upstream as an application: the query API behind its key and its limit, the feed with its validators.

Whatever is answered follows from the moment of the week and the request alone; only the limit counts requests.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kasparro.core.errors import ParameterError
from kasparro.demo.atom import FEED_PATH, MEDIA_TYPE, build_feed, edition, is_current
from kasparro.demo.query import error_text, feature_collection, parse_query, select
from kasparro.demo.replay import histories, last_change, visible
from kasparro.demo.week import Week, instant

QUERY_PATH: Final = "/fdsnws/event/1/query"
KEY_HEADER: Final = "X-API-Key"
REFUSED_EVERY: Final = 5
"""One request in so many is refused by the limit."""
RETRY_AFTER_SECONDS: Final = 1


@dataclass(slots=True)
class _Limit:
    """Refuses every n-th request; none for `every=None`."""

    every: int | None
    requests: int = field(default=0, init=False)

    def refuses(self) -> bool:
        self.requests += 1
        return self.every is not None and self.requests % self.every == 0


def create_app(
    week: Week, *, clock: Callable[[], int], key: str, refused_every: int | None = REFUSED_EVERY
) -> Starlette:
    """The upstream over a week; `clock` gives the moment of the week (milliseconds since 1970), `key` opens the API."""
    upstream = _Upstream(week, clock, key, _Limit(refused_every))
    routes = [
        Route(QUERY_PATH, upstream.query),
        Route(FEED_PATH, upstream.feed),
        Route("/health", upstream.health),
    ]
    return Starlette(routes=routes)


class _Upstream:
    def __init__(self, week: Week, clock: Callable[[], int], key: str, limit: _Limit) -> None:
        self._week = week
        self._histories = histories(week)
        self._clock = clock
        self._key = key
        self._limit = limit

    async def query(self, request: Request) -> Response:
        """`GET /fdsnws/event/1/query`: key, then limit, then parameters."""
        now = self._clock()
        given = request.headers.get(KEY_HEADER)
        if given is None:
            challenge = {"WWW-Authenticate": f'ApiKey header="{KEY_HEADER}"'}
            return self._refuse(request, now, "401: Unauthorized", f"The header {KEY_HEADER} is missing.", challenge)
        if not hmac.compare_digest(given.encode("latin-1"), self._key.encode()):
            return self._refuse(request, now, "403: Forbidden", f"The key in {KEY_HEADER} is not valid.")
        if self._limit.refuses():
            hint = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return self._refuse(request, now, "429: Too Many Requests", "Too many requests: try again later.", hint)
        try:
            query = parse_query(request.query_params)
        except ParameterError as error:
            return self._refuse(request, now, "400: Bad Request", "\n\n".join(error.problems.values()))
        found = select(visible(self._histories, now), query)
        metadata = {"generated": now, "url": str(request.url), "api": self._week.api}
        body = json.dumps(feature_collection(found, query, metadata), separators=(",", ":"), ensure_ascii=False)
        return Response(body, media_type="application/json")

    async def feed(self, request: Request) -> Response:
        """`GET .../all_week.atom`, or 304 for those who have it."""
        events = visible(self._histories, edition(self._clock()))
        feed = build_feed(events, last_change(events, self._week), str(request.url))
        if is_current(feed, request.headers):
            return Response(status_code=304, headers=feed.headers)
        return Response(feed.body, media_type=MEDIA_TYPE, headers=feed.headers)

    async def health(self, request: Request) -> Response:
        """`GET /health`: that it is there, and what it shows."""
        del request
        now = self._clock()
        shown = len(visible(self._histories, now))
        return JSONResponse({"status": "ok", "week_time": instant(now).isoformat(), "events": shown})

    def _refuse(
        self, request: Request, now: int, status: str, sentence: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        text = error_text(status, [sentence], asked, now, self._week.api)
        return Response(text, status_code=int(status[:3]), media_type="text/plain", headers=headers)
