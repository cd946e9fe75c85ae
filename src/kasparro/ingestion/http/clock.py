"""Time and chance as the HTTP client sees them: a test puts its own in, and nothing has to be waited for."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` and `wall` (since 1970) in seconds; `spread` draws evenly between two numbers."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    spread: Callable[[float, float], float] = random.SystemRandom().uniform


class Budget:
    """The time all tries of one request may take; it begins to run at the first `start`."""

    def __init__(self, clock: Clock, total_seconds: float) -> None:
        self._clock = clock
        self._total_seconds = total_seconds
        self._started: float | None = None

    def start(self) -> None:
        """Let it run, unless it does."""
        if self._started is None:
            self._started = self._clock.monotonic()

    @property
    def spent_seconds(self) -> float:
        """What has run; zero before the start."""
        return 0.0 if self._started is None else self._clock.monotonic() - self._started

    @property
    def remaining_seconds(self) -> float:
        """What is left; below zero when it is overdrawn."""
        return self._total_seconds - self.spent_seconds
