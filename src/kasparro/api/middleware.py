"""Around every request: an id, one log line, and an answer even to errors that nobody expected."""

import re
import time
import uuid
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kasparro.api.errors import shortened, unexpected_response
from kasparro.core.logging import get_logger

REQUEST_ID_HEADER: Final = "X-Request-ID"
_VALID_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_log = get_logger(__name__)


class RequestMiddleware:
    """Sets `request.state.request_id` and `.started` (seconds, monotonic), and echoes a valid X-Request-ID."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # GET without the body (RFC 9110, 9.3.2): routes need not know it
            scope["method"], send = "GET", _without_body(send)
        request_id = _request_id(Headers(scope=scope))
        state = scope.setdefault("state", {})
        state["request_id"], state["started"] = request_id, time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._answer(scope, receive, _Reply(send, request_id, method))

    async def _answer(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        try:
            await self._app(scope, receive, reply)
        except Exception as error:  # noqa: BLE001  the one place where what nobody expected ends
            _log.error("http.crashed", message="unexpected error", exc_info=error)
            if not reply.status:
                await unexpected_response(Request(scope))(scope, receive, reply)
        finally:
            _log.info(
                "http.request",
                message=f"{reply.method} {shortened(scope['path'])} {reply.status}",
                http_method=reply.method,
                http_route=getattr(scope.get("route"), "path", None),
                http_status=reply.status,
                duration_ms=milliseconds_since(scope["state"]["started"]),
            )


def _without_body(send: Send) -> Send:
    """Everything but the body, whose length stays in the headers."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


class _Reply:
    """The way back to the server: adds the headers that every answer has and remembers the status (0: none sent)."""

    def __init__(self, send: Send, request_id: str, method: str) -> None:
        self._send = send
        self._request_id = request_id
        self.method = method
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
        await self._send(message)


def milliseconds_since(started: float) -> float:
    """Milliseconds since a `time.perf_counter()`, to the microsecond."""
    return round((time.perf_counter() - started) * 1000, 3)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _VALID_ID.fullmatch(given) else uuid.uuid4().hex
