"""The span of a request that goes out: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client.

`traceparent` goes to the host that was asked, and nowhere that a redirect leads.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from kasparro.core import tracing
from kasparro.ingestion.http.calls import Call
from kasparro.ingestion.http.failures import AttemptFailed
from kasparro.ingestion.http.secrecy import Secrecy


@dataclass(slots=True)
class Sending:
    """The call as it goes out, and where its answer is told."""

    call: Call
    span: tracing.Span = field(default_factory=tracing.no_span)

    def answered(self, status: int) -> None:
        """The status; from 400 up, the request has failed."""
        self.span.set({"http.response.status_code": status})
        if status >= 400:
            self.span.failed(str(status))


def sending(call: Call, attempt: int, secrecy: Secrecy, *, asked: bool) -> AbstractContextManager[Sending]:
    """Around one request. `asked`: it goes to the host that the source names, which may know of the trace."""
    return _traced(call, attempt, secrecy, asked=asked) if tracing.is_on() else nullcontext(Sending(call))


@contextmanager
def _traced(call: Call, attempt: int, secrecy: Secrecy, *, asked: bool) -> Generator[Sending]:
    host, port = call.host
    attributes: tracing.Attributes = {
        "http.request.method": "GET",
        "http.request.resend_count": attempt - 1 or None,
        "server.address": host,
        "server.port": port,
        "url.full": secrecy.url(call.url),
    }
    with tracing.span("GET", attributes, kind="client") as span:
        try:
            yield Sending(_marked(call) if asked else call, span)
        except AttemptFailed as failure:
            span.failed(failure.reason, secrecy.text(failure.message))
            raise


def _marked(call: Call) -> Call:
    """With `traceparent`, unless the source's own headers have one."""
    header = tracing.traceparent()
    return call if header is None else replace(call, headers={"traceparent": header, **call.headers})
