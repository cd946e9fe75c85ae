"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP. Imported only when traces are wanted and installed.

A collector that is away harms nothing: the queue is bounded, sending is a thread of its own, its failure is logged
once, and at the end nobody waits for it for long.
"""

import logging
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from kasparro import __version__
from kasparro.core.errors import KasparroError
from kasparro.core.logging import get_logger
from kasparro.core.masking import mask_text
from kasparro.core.tracing import Attributes, Kind, OpenSpan, Spanning, Tracing, parsed

LEAVE_SECONDS: Final = 2.0
"""How long the end of a process waits for a collector that does not answer."""
_KINDS: Final = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"
_log = get_logger(__name__)


def make_tracing(service: str) -> Tracing:
    """What the standard variables configure. Raises ValueError for what only other packages could do."""
    exporter_name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if exporter_name != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER={exporter_name}: there is only otlp, and none")
    for name in _PROTOCOLS:
        if os.environ.get(name, _PROTOCOL).strip() not in {_PROTOCOL, ""}:
            raise ValueError(f"{name}={os.environ[name]}: there is only {_PROTOCOL}")
    if logging.getLogger("opentelemetry").level == logging.NOTSET:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is told once, by `_Reporting`
    exporter = OTLPSpanExporter()
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Reporting(exporter)))
    return _Sdk(provider, exporter)


def _resource(service: str) -> Resource:
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.version": __version__, "service.namespace": "kasparro"}
    return Resource.create(own if named else {**own, "service.name": f"kasparro-{service}"})


class _Sdk:
    """See `tracing`; over one provider, which is nobody else's."""

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("kasparro", __version__)

    def span(self, name: str, attributes: Attributes | None, kind: Kind, parent: str | None) -> Spanning:
        return _current(self._begun(name, attributes, kind, _remote(parent)))

    def open(self, name: str, attributes: Attributes | None) -> OpenSpan:
        return _Open(self, self._begun(name, attributes, "internal", None))

    def inside(self, span: trace.Span, name: str, attributes: Attributes | None, kind: Kind) -> Spanning:
        """A span whose parent is not the current one."""
        return _current(self._begun(name, attributes, kind, trace.set_span_in_context(span)))

    def annotate(self, attributes: Attributes) -> None:
        trace.get_current_span().set_attributes(_shown(attributes))

    def ids(self) -> Mapping[str, str]:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def traceparent(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"

    def stop(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, name="kasparro-tracing-end", daemon=True)
        ending.start()
        ending.join(LEAVE_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()  # it tries no more
            ending.join(LEAVE_SECONDS / 4)

    def _begun(self, name: str, attributes: Attributes | None, kind: Kind, context: Context | None) -> "_Span":
        span = self._tracer.start_span(name, context, _KINDS[kind], _shown(attributes or {}))
        return _Span(span)


class _Span:
    """See `tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self.inner = span
        self._told = False

    def set(self, attributes: Attributes) -> None:
        self.inner.set_attributes(_shown(attributes))

    def name(self, name: str) -> None:
        self.inner.update_name(name)

    def failed(self, error_type: str, message: str = "") -> None:
        self._told = True
        self.inner.set_attribute("error.type", error_type)
        self.inner.set_status(Status(StatusCode.ERROR, mask_text(message) or None))

    def failed_with(self, error: BaseException) -> None:
        """By what has left the block, unless it was told already."""
        if self._told:
            return
        if isinstance(error, KasparroError):
            self.failed(error.code, error.message)
        elif isinstance(error, Exception):
            self.failed(type(error).__qualname__, str(error))
        else:
            self.inner.set_attribute("error.type", type(error).__qualname__)


class _Open:
    """See `tracing.OpenSpan`."""

    def __init__(self, sdk: _Sdk, span: _Span) -> None:
        self._sdk = sdk
        self._span = span

    def set(self, attributes: Attributes) -> None:
        self._span.set(attributes)

    def part(self, name: str, attributes: Attributes | None = None, kind: Kind = "internal") -> Spanning:
        return self._sdk.inside(self._span.inner, name, attributes, kind)

    def end(self, error: BaseException | None = None) -> None:
        if self._span.inner.is_recording():
            if error is not None:
                self._span.failed_with(error)
            self._span.inner.end()


@contextmanager
def _current(span: _Span) -> Generator[_Span]:
    """Make it the current one, and end it. What leaves the block is told by name and masked text, never with its stack,
    which may show anything.
    """
    with trace.use_span(span.inner, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            span.failed_with(error)
            raise
        finally:
            span.inner.end()


def _remote(traceparent: str | None) -> Context | None:
    ids = None if traceparent is None else parsed(traceparent)
    if ids is None:
        return None
    remote = SpanContext(ids[0], ids[1], is_remote=True, trace_flags=TraceFlags(ids[2] & 1))
    return trace.set_span_in_context(NonRecordingSpan(remote))


def _shown(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {
        name: mask_text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


class _Reporting(SpanExporter):
    """Says in the log when sending begins to fail, and when it goes on; once each."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._fails = False
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exported(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if not self._fails:
                message = "the collector takes no spans: they are lost until it does; nothing else is affected"
                _log.warning("tracing.export_failed", message=message, spans=len(spans))
        elif self._fails:
            _log.info("tracing.export_works", message=f"the collector takes spans again; {self._lost:,} are lost")
            self._lost = 0
        self._fails = result is not SpanExportResult.SUCCESS
        return result

    def _exported(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._exporter.export(spans)
        except Exception:  # noqa: BLE001  whatever a variable has made of it, such as a certificate that is not there
            return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
