"""A route asked so often that it goes past FastAPI: found first, while FastAPI's of the same path describes it."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

Answer = Callable[[Request], Awaitable[Response]]


class DirectRoute(Route):
    """Answers GET by `check` and then `answer`; whatever else is asked of its path is left to the routes behind it."""

    def __init__(self, path: str, check: Callable[[Request], Awaitable[None]], answer: Answer) -> None:
        super().__init__(path, answer, methods=["GET"], include_in_schema=False)
        self._check = check
        self._answer = answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Errors go up as they are: the application's handlers answer them."""
        request = Request(scope, receive, send)
        await self._check(request)
        response = await self._answer(request)
        await response(scope, receive, send)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As logs and metrics want it: `route` is the one that answers."""
        match, found = super().matches(scope)
        if match is not Match.FULL:
            return Match.NONE, {}
        more: dict[str, Any] = {**found, "route": self}
        return match, more
