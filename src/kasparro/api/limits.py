"""How much may be asked: requests a minute, by the generic cell rate algorithm, in memory and for a bounded number of
callers. Each process counts for itself.

A caller that was idle may spend a whole minute's requests at once; then they come back evenly. Told to callers as in
draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "requests";q=6000;w=60`, `RateLimit: "requests";r=5999;t=1`.
"""

import math
import time
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60
TRACKED_CALLERS: Final = 20_000
"""Of more, the one that was let in longest ago is forgotten first, and begins anew."""
_ROUNDING: Final = 1e-6
Fields = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands after a request: `remaining` requests at once, all of them again in `reset_seconds`.

    `retry_after_seconds` is 0 for a request that was let in.
    """

    remaining: int
    reset_seconds: int
    retry_after_seconds: int


class RateLimiter:
    """Counts the requests of each caller; with `per_minute` 0 it lets everything in and keeps nothing."""

    def __init__(self, name: str, per_minute: int, *, tracked: int = TRACKED_CALLERS) -> None:
        self.per_minute = per_minute
        self._interval = WINDOW_SECONDS / per_minute if per_minute else 0.0
        self._tracked = tracked
        self._due: dict[str, float] = {}
        """When each caller's requests will all have come back, the one let in longest ago first."""
        self._label = f'"{name}"'.encode("ascii")
        self._policy = b"%s;q=%d;w=%d" % (self._label, per_minute, WINDOW_SECONDS)

    def __len__(self) -> int:
        return len(self._due)

    def take(self, caller: str) -> Standing:
        """Count a request, unless the caller has used up what it has: such a request costs nothing more."""
        now = time.monotonic()
        known = self._due.get(caller, now)
        due = (max(now, known)) + self._interval
        excess = due - now - WINDOW_SECONDS
        if excess > _ROUNDING:
            return Standing(0, math.ceil(due - now), math.ceil(excess))
        if self._interval:
            self._keep(caller, due)
        remaining = int((_ROUNDING - excess) / self._interval) if self._interval else 0
        return Standing(remaining, math.ceil(due - now), 0)

    def give_back(self, caller: str) -> None:
        """Uncount a request."""
        if caller in self._due:
            self._due[caller] -= self._interval

    def fields(self, standing: Standing) -> Fields:
        """What to tell the caller; nothing where nothing is limited."""
        if not self.per_minute:
            return []
        state = b"%s;r=%d;t=%d" % (self._label, standing.remaining, standing.reset_seconds)
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", state)]

    def _keep(self, caller: str, due: float) -> None:
        if self._due.pop(caller, None) is None and len(self._due) >= self._tracked:
            del self._due[next(iter(self._due))]
        self._due[caller] = due
