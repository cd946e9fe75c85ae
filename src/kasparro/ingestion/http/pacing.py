"""When a request may go out: the source's token bucket, what servers asked for, and two at a time for each host."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiolimiter import AsyncLimiter

from kasparro.ingestion.http.clock import Budget, Clock
from kasparro.ingestion.http.contract import LONGEST_PAUSE_SECONDS
from kasparro.ingestion.http.failures import AttemptFailed

REQUESTS_PER_HOST: Final = 2

Host = tuple[str, int | None]


@dataclass
class Hosts:
    """All hosts that any source talks to, and how many requests of ours each answers at present."""

    slots: dict[Host, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(REQUESTS_PER_HOST))
    )


class Pace:
    """One source's pace. All requests of the source share it, in whatever run."""

    def __init__(self, requests: float, per_seconds: float, hosts: Hosts, clock: Clock) -> None:
        rate = max(requests, 1.0)
        self._bucket = AsyncLimiter(rate, per_seconds * rate / requests)
        self._hosts = hosts
        self._clock = clock
        self._not_before: dict[Host, float] = {}

    def pause(self, host: Host, seconds: float) -> None:
        """Let no request to the host go out for so long, since its server said so."""
        until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE_SECONDS)
        self._not_before[host] = max(until, self._not_before.get(host, until))

    @asynccontextmanager
    async def slot(self, host: Host, budget: Budget) -> AsyncGenerator[float]:
        """Hold a place at the host, once it is this source's turn; gives the seconds that were waited for it.

        Raises AttemptFailed when the server asked for a pause that is longer than what is left of the budget.
        """
        asked = self._clock.monotonic()
        while True:
            await self._sit_out(host, budget)
            await self._bucket.acquire()
            async with self._hosts.slots[host]:
                if self._pause_left(host) > 0:
                    continue  # an answer that came while this one waited asked for a pause
                budget.start()
                yield self._clock.monotonic() - asked
                return

    async def _sit_out(self, host: Host, budget: Budget) -> None:
        while (seconds := self._pause_left(host)) > 0:
            if seconds > budget.remaining_seconds:
                raise AttemptFailed("quota", "the server asked for a pause earlier", retry_after_seconds=seconds)
            budget.start()
            await self._clock.sleep(seconds)

    def _pause_left(self, host: Host) -> float:
        return self._not_before.get(host, 0.0) - self._clock.monotonic() if host in self._not_before else 0.0
