"""Log lines of which there are thousands a second: the same JSON objects, written past the chain of processors.

Nothing is masked here: only for events whose message and fields hold no secrets. Where logs are drawn for people, or
nothing is configured, the caller says it the usual way.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from pydantic_core import to_json

from kasparro.core.log_rendering import escaped


@dataclass(frozen=True, slots=True)
class _Target:
    handler: "logging.StreamHandler[TextIO]"
    stamp: Mapping[str, str]


_target: _Target | None = None


def direct_lines_to(handler: "logging.StreamHandler[TextIO] | None", *, stamp: Mapping[str, str]) -> None:
    """Write lines at INFO to this handler's stream from now on, each with the stamp's fields; None: no more."""
    global _target  # noqa: PLW0603  like the logging that it is part of, one for the process
    _target = None if handler is None else _Target(handler, dict(stamp))


def write_line(logger: str, event: str, message: str, fields: Mapping[str, object]) -> bool:
    """Write an event of this logger at INFO; False when the usual way has to be taken."""
    target = _target
    if target is None:
        return False
    if logging.getLogger(logger).isEnabledFor(logging.INFO):
        timestamp = f"{datetime.now(UTC).isoformat()[:-6]}Z"
        line = {"timestamp": timestamp, "level": "info", "event": event, "message": message}
        return _write(target.handler, escaped(to_json({**line, **target.stamp, **fields}).decode()))
    return True


def _write(handler: "logging.StreamHandler[TextIO]", line: str) -> bool:
    handler.acquire()
    try:
        handler.stream.write(f"{line}\n")
        handler.stream.flush()
    except (OSError, ValueError):  # a closed pipe: the usual logger knows what to do about it
        return False
    finally:
        handler.release()
    return True
