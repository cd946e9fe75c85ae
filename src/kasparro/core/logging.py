"""Logs by structlog: one JSON object a line, pretty on a terminal; secrets are masked before anything is formatted.

`get_logger(__name__).info("run.finished", message="...", run_id=7, source="flights")`: the event is a constant, the
message is for people, everything else a field. Records of the standard library's logging (granian, alembic, asyncio)
take the same way.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, TextIO, cast

import structlog

from kasparro import __version__
from kasparro.core.log_levels import set_levels
from kasparro.core.log_lines import direct_lines_to
from kasparro.core.log_rendering import renderer, shortened
from kasparro.core.masking import masked
from kasparro.core.tracing import current_ids

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


_PASSED_ON: Final = ("DEBUG", "ERROR", "CRITICAL")
"""Levels that libraries get as well; at INFO they speak of themselves, and are heard from WARNING up."""


def configure_logging(
    level: str, *, service: str, stream: TextIO | None = None, levels: Mapping[str, str] | None = None
) -> None:
    """Send everything of ours at `level` or above to `stream` (default: standard error), replacing earlier handlers.

    `levels`: those of single modules, by their names.
    """
    target = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Stamp(service),
        _name_trace,
        _describe_error,
        mask_secrets,
        shortened,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_name_foreign, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer(target),
        ],
    )
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level if level in _PASSED_ON else "WARNING", handlers=[handler], force=True)
    logging.getLogger("kasparro").setLevel(level)
    set_levels(levels or {})
    drawn = stream is None or stream.isatty()
    direct_lines_to(None if drawn else handler, stamp={"service": service, "version": __version__})
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; safe to call at import, for it is resolved at its first use."""
    return structlog.stdlib.get_logger(name)


def log_context(**fields: object) -> AbstractContextManager[None]:
    """Every line logged inside says this as well: also in tasks that begin there, in their threads, and by others'
    loggers.
    """
    return structlog.contextvars.bound_contextvars(**fields)


def mask_secrets(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """A structlog processor: mask the values of secret-named fields, and secrets inside any text."""
    del logger, method
    return {name: masked(name, value) for name, value in event.items()}


class _StandardError(logging.StreamHandler[TextIO]):
    """Standard error as it is at each line: a progress bar puts itself in its place while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Stamp:
    """Adds who speaks: `service` and `version`; and a message where somebody gave none."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
        del logger, method
        event.setdefault("service", self._service)
        event.setdefault("version", __version__)
        event.setdefault("message", event["event"])
        return event


def _name_trace(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """`trace_id` and `span_id` of what is being traced, as OpenTelemetry writes them in logs."""
    del logger, method
    event.update(current_ids())
    return event


def _name_foreign(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """A record of the standard library's logging has text only: the text is the message, its logger the event."""
    del logger, method
    record = cast("logging.LogRecord", event["_record"])
    event["message"], event["event"] = event["event"], f"log.{record.name}"
    if record.exc_info:
        event["exc_info"] = record.exc_info
    return event


def _describe_error(logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
    """`exc_info` becomes `error.type`, `error.message` and `error.stack`."""
    del logger, method
    error = _exception_of(event.pop("exc_info", None))
    if error is not None:
        event["error.type"] = type(error).__name__
        event["error.message"] = str(error)
        event["error.stack"] = "".join(traceback.format_exception(error))
    return event


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast("tuple[object, BaseException | None]", exc_info)[1]
    return sys.exc_info()[1] if exc_info else None
