"""Around every request: an id, one log line, the headers of its answer, and an answer to errors nobody expected."""

import os
import re
import time
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kasparro.api.authentication import KeyHolder
from kasparro.api.errors import shortened, unexpected_response
from kasparro.api.headers import complete, trace_id
from kasparro.api.metrics import RequestMetrics
from kasparro.api.timing import begin_timing
from kasparro.api.tracing import request_span
from kasparro.core.log_lines import write_line
from kasparro.core.logging import get_logger, log_context
from kasparro.core.masking import mask_text

_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_log = get_logger(__name__)


class RequestMiddleware:
    """Sets `request.state.request_id` and `.started` (seconds, monotonic), and echoes a valid X-Request-ID.

    Headers that stand in `request.state.reply_headers` are added to the answer, whoever gives it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # GET without the body (RFC 9110, 9.3.2): routes need not know it
            scope["method"], send = "GET", _without_body(send)
        names = _names(scope)
        state = scope.setdefault("state", {})
        state["request_id"], state["started"] = names["request_id"], time.perf_counter()
        begin_timing()
        reply = _Reply(send, state, method)
        with request_span(scope, reply, names.pop("traceparent", None)) as ids:
            names |= ids
            with log_context(**names):
                await self._answer(scope, receive, reply, names)

    async def _answer(self, scope: Scope, receive: Receive, reply: "_Reply", names: dict[str, str]) -> None:
        try:
            await self._app(scope, receive, reply)
        except Exception as error:  # noqa: BLE001  the one place where what nobody expected ends
            _log.error("http.crashed", message="unexpected error", exc_info=error)
            if not reply.status:
                await unexpected_response(Request(scope))(scope, receive, reply)
        finally:
            _observe(scope, reply)
            _log_request(scope, reply, names)


def _log_request(scope: Scope, reply: "_Reply", names: dict[str, str]) -> None:
    """One line for each request; `names` are those that all its lines have."""
    method = shortened(reply.method)
    path, route = scope["path"], getattr(scope.get("route"), "path", None)
    shown = path if path == route else mask_text(shortened(path))
    message = f"{method} {shown} {reply.status}"
    fields: dict[str, Any] = {
        "http_method": method,
        "http_route": route,
        "http_status": reply.status,
        "duration_ms": milliseconds_since(scope["state"]["started"]),
        **_caller(scope["state"]),
    }
    if not write_line(__name__, "http.request", message, fields | names):
        _log.info("http.request", message=message, **fields)


def _caller(state: dict[str, Any]) -> dict[str, str]:
    """Who asked: the address, and the id of a good key."""
    holder: KeyHolder | None = state.get("holder")
    known = {"client_address": state.get("client_address"), "key_id": None if holder is None else holder.key_id}
    return {name: value for name, value in known.items() if value is not None}


def _observe(scope: Scope, reply: "_Reply") -> None:
    """For `/metrics`; a request that was cut off before its answer began has no status, and is left out."""
    if reply.status:
        seconds = time.perf_counter() - scope["state"]["started"]
        requests: RequestMetrics = scope["app"].state.metrics
        requests.observe(reply.method, getattr(scope.get("route"), "path", None), reply.status, seconds)


def _without_body(send: Send) -> Send:
    """Everything but the body, whose length stays in the headers."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


class _Reply:
    """The way back to the server: adds the headers that every answer has and remembers the status (0: none sent)."""

    def __init__(self, send: Send, state: dict[str, Any], method: str) -> None:
        self._send = send
        self._state = state
        self.method = method
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self._state["request_id"].encode("ascii"))]
            headers += self._state.get("reply_headers", ())
            complete(headers, status=self.status, total_ms=milliseconds_since(self._state["started"]))
            message["headers"] = headers
        await self._send(message)


def milliseconds_since(started: float) -> float:
    """Milliseconds since a `time.perf_counter()`, to the microsecond."""
    return round((time.perf_counter() - started) * 1000, 3)


def _names(scope: Scope) -> dict[str, str]:
    """What every log line of this request says: its id, its caller's own where that is a valid one, and its trace."""
    names: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID_ID.fullmatch(value):
            names["request_id"] = value.decode("ascii")
        elif name == b"traceparent" and (trace := trace_id(value.decode("latin-1"))):
            names["trace_id"], names["traceparent"] = trace, value.decode("ascii")
    if "request_id" not in names:
        names["request_id"] = os.urandom(16).hex()
    return names
