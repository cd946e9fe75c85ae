"""Traces (OpenTelemetry): spans of requests, runs, batches and stages, where `kasparro[otel]` is installed and an
exporter is configured. Else each of these functions is one test, and nothing of OpenTelemetry is imported for them.

    with tracing.span("run flights", {"kasparro.source": "flights"}) as span:
        span.set({"kasparro.run_id": 7})

What the attributes are called: https://opentelemetry.io/docs/specs/semconv/. Texts in them are masked like the log's.
"""

import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Literal, Protocol, Self

Attributes = Mapping[str, str | int | float | bool | None]
Kind = Literal["internal", "server", "client"]
PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)


class Span(Protocol):
    """One piece of work that is being traced."""

    def set(self, attributes: Attributes) -> None:
        """Add these; None stands for nothing to say."""
        ...

    def name(self, name: str) -> None:
        """Call it so, now that more is known of it."""
        ...

    def failed(self, error_type: str, message: str = "") -> None:
        """It did not do what it was for. An exception that leaves the span says so by itself."""
        ...


class OpenSpan(Protocol):
    """A span that begins and ends in different functions; `part` is a span inside it."""

    def set(self, attributes: Attributes) -> None: ...

    def part(self, name: str, attributes: Attributes | None = None, kind: Kind = "internal") -> "Spanning": ...

    def end(self, error: BaseException | None = None) -> None:
        """Once; later calls change nothing."""
        ...


Spanning = AbstractContextManager[Span, bool | None]


class Tracing(Protocol):
    """What stands behind this module while spans are made."""

    def span(self, name: str, attributes: Attributes | None, kind: Kind, parent: str | None) -> Spanning: ...

    def open(self, name: str, attributes: Attributes | None) -> OpenSpan: ...

    def annotate(self, attributes: Attributes) -> None: ...

    def ids(self) -> Mapping[str, str]: ...

    def traceparent(self) -> str | None: ...

    def stop(self) -> None: ...


class _NoSpan:
    """For all spans that nobody wants."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def set(self, attributes: Attributes) -> None:
        del attributes

    def name(self, name: str) -> None:
        del name

    def failed(self, error_type: str, message: str = "") -> None:
        del error_type, message


_NO_SPAN: Final = _NoSpan()
_NO_IDS: Final[Mapping[str, str]] = {}
_tracing: Tracing | None = None


def start(service: str) -> None:
    """Trace from now on, where OpenTelemetry's variables ask for it; `service` is which part of kasparro this is.

    Where they do and it cannot be done, a warning says why, and everything goes on without.
    """
    global _tracing  # noqa: PLW0603  like the logging, one for the process
    if not _wanted(os.environ):
        return
    from kasparro.core.logging import get_logger

    log = get_logger(__name__)
    if not _installed():
        log.warning(
            "tracing.not_installed", message="traces are wanted, but not installed: pip install 'kasparro[otel]'"
        )
        return
    try:
        from kasparro.core.tracing_export import make_tracing

        stop()
        _tracing = make_tracing(service)
    except (ValueError, ImportError) as error:  # what a variable says, or half of an installation
        log.warning("tracing.off", message=f"no traces: {error}")


def stop() -> None:
    """Send what is left, within seconds, and trace no more."""
    global _tracing
    tracing, _tracing = _tracing, None
    if tracing is not None:
        tracing.stop()


def is_on() -> bool:
    """Whether spans are made."""
    return _tracing is not None


def span(
    name: str, attributes: Attributes | None = None, *, kind: Kind = "internal", parent: str | None = None
) -> Spanning:
    """A span around a block; those that begin inside, also in tasks and their threads, are its children.

    `parent`: a `traceparent` from elsewhere; one that is not valid is ignored.
    """
    return _NO_SPAN if _tracing is None else _tracing.span(name, attributes, kind, parent)


def no_span() -> Span:
    """A span that nobody wants."""
    return _NO_SPAN


def open_span(name: str, attributes: Attributes | None = None) -> OpenSpan | None:
    """A span that the caller ends; None when there are none."""
    return None if _tracing is None else _tracing.open(name, attributes)


def annotate(attributes: Attributes) -> None:
    """Say this of what is being traced."""
    if _tracing is not None:
        _tracing.annotate(attributes)


def current_ids() -> Mapping[str, str]:
    """`trace_id` and `span_id` for a log line; empty where nothing is traced."""
    return _NO_IDS if _tracing is None else _tracing.ids()


def traceparent() -> str | None:
    """The header that makes somebody else's work part of this trace; None where nothing is traced."""
    return None if _tracing is None else _tracing.traceparent()


def parsed(header: str) -> tuple[int, int, int] | None:
    """Trace, span and flags of a `traceparent`; None for what is not valid.

    https://www.w3.org/TR/trace-context/#traceparent-header: later versions may say more behind what is known.
    """
    match = _TRACEPARENT.fullmatch(header)
    if match is None or (match["version"] == "00" and match["more"] is not None):
        return None
    return int(match["trace"], 16), int(match["span"], 16), int(match["flags"], 16)


def _wanted(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name an exporter or where it sends to.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter not in {"", "none"} or (exporter == "" and any(environ.get(name) for name in _ENDPOINTS))


def _installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # of a parent
        return False
