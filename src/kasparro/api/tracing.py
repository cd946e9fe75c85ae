"""The span of a request: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol

from starlette.types import Scope

from kasparro.core import tracing

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_OTHER: Final = "_OTHER"
_WATCHED: Final = ("/health", "/metrics")
"""Asked every few seconds by machines: traced only as part of somebody's trace."""
_NOTHING: Final[AbstractContextManager[Mapping[str, str]]] = nullcontext({})


class Reply(Protocol):
    """What is known of the answer when it was given; status 0: there is none."""

    method: str
    status: int


def request_span(scope: Scope, reply: Reply, traceparent: str | None) -> AbstractContextManager[Mapping[str, str]]:
    """A span around a request, part of the caller's trace where there is one; gives the ids for its log lines."""
    if not tracing.is_on() or (traceparent is None and scope["path"].startswith(_WATCHED)):
        return _NOTHING
    return _traced(scope, reply, traceparent)


@contextmanager
def _traced(scope: Scope, reply: Reply, traceparent: str | None) -> Generator[Mapping[str, str]]:
    method = reply.method if reply.method in _METHODS else _OTHER
    server = scope.get("server") or (None, None)
    attributes: tracing.Attributes = {
        "http.request.method": method,
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"],
        "server.address": server[0],
        "server.port": server[1],
        "network.protocol.version": scope.get("http_version"),
    }
    name = "HTTP" if method is _OTHER else method
    with tracing.span(name, attributes, kind="server", parent=traceparent) as span:
        yield tracing.current_ids()
        if route := getattr(scope.get("route"), "path", None):
            span.name(f"{name} {route}")
        span.set({"http.route": route, "http.response.status_code": reply.status or None})
        if reply.status >= 500:
            span.failed(str(reply.status))
