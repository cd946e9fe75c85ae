"""How long a request waited for the database, added up over its questions."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class _Spent:
    seconds: float = 0.0


_spent: Final[ContextVar[_Spent | None]] = ContextVar("kasparro_database_seconds", default=None)


def begin_timing() -> None:
    """From here on, in this request and the tasks that it starts, time is added up anew."""
    _spent.set(_Spent())


def add_database_seconds(seconds: float) -> None:
    """Count time that was spent on one question; nothing outside of a request."""
    spent = _spent.get()
    if spent is not None:
        spent.seconds += seconds


def database_milliseconds() -> float:
    """What was counted in this request."""
    spent = _spent.get()
    return 0.0 if spent is None else spent.seconds * 1000
