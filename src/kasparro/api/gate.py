"""Before any route: whose key is presented? What may not pass is answered here."""

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from kasparro.api.authentication import KeyHolder, KeyRing, presented_key
from kasparro.api.errors import problem_response
from kasparro.core.errors import DatabaseError, KasparroError

PROBES: Final = frozenset({"/health/live", "/health/ready"})
"""Answered to anyone, always, without a look at keys or limits: orchestrators ask them."""
HEALTH: Final = "/health"


class Gate:
    """Puts the holder of a good key into `request.state.holder`, and answers a bad key with 401 whatever is asked."""

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        try:
            scope["state"]["holder"] = await self._holder(scope)
        except KasparroError as error:
            await problem_response(Request(scope), error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _holder(self, scope: Scope) -> KeyHolder | None:
        key = presented_key([value for name, value in scope["headers"] if name == b"authorization"])
        if key is None:
            return None
        try:
            return self._keys.recall(key) or await self._keys.check(key)
        except DatabaseError:
            if scope["path"] == HEALTH:  # it says itself that the database is gone
                return None
            raise
