"""Tells hooks what has changed, and looks for what time alone changes: a source that has had no success for too long.

One task for each hook, so that a dead one delays no other and no run. What cannot be delivered is tried again with
growing distance, for a day at most, across restarts: messages wait in the database.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

from kasparro.core.database import Connection, ConnectionOptions, connect, house_errors
from kasparro.core.errors import ConnectionLostError, DatabaseError
from kasparro.ingestion.alerting import settle_alerts
from kasparro.schemas.alerts import AlertRules, Condition
from kasparro.schemas.configuration.times import duration_text
from kasparro.services import alert_outbox, alerts
from kasparro.services.alert_outbox import Waiting
from kasparro.services.alerts import Held
from kasparro.services.freshness import freshness, stale_after_seconds
from kasparro.workers.messages import Message, message_of
from kasparro.workers.reachable import Reachable

FIRST_LOOK_SECONDS: Final = 60.0
"""After the start, when what was due meanwhile has had its turn: a scheduler that was off tells of nothing stale."""
LOOK_SECONDS: Final = 30.0
POLL_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 60.0
"""A message that a process had in hand when it died is due again after this; longer than any try takes."""
FIRST_WAIT_SECONDS: Final = 5.0
LONGEST_WAIT_SECONDS: Final = 900.0
LONGEST_ASKED_SECONDS: Final = 3600.0
MOST_TRIES: Final = 150
LONGEST: Final = timedelta(days=1)
_ANSWER_SECONDS: Final = 10.0
_PRUNE_EVERY: Final = timedelta(days=1)
log = structlog.get_logger()


class Outcome(Protocol):
    """What became of a try; see ingestion/http/posting.Posted."""

    @property
    def error(self) -> str | None: ...
    @property
    def retry_after_seconds(self) -> float | None: ...
    @property
    def gone(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook by its name, and how to send it a message: one try, which raises nothing and takes its time at most."""

    name: str
    send: Callable[[Message, datetime], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Watched:
    """A source to look at."""

    source: str
    rules: AlertRules


class Alerting:
    """Made for one set of sources and hooks. `run` works until `stop` is set; no failure of it stops the scheduler."""

    def __init__(
        self, options: ConnectionOptions, watched: Sequence[Watched], hooks: Sequence[Hook], *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._options = options
        self._watched = watched
        self._hooks = hooks
        self._now = now
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._database = Reachable("alerts.database_unreachable", "alerts.database_reachable")
        self._pruned_at = datetime.min.replace(tzinfo=UTC)

    async def run(self, stop: asyncio.Event) -> None:
        """What is in hand when asked to stop is given up, and sent again by the next scheduler."""
        work = [self._looking(), *(self._serving(hook) for hook in self._hooks)]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.close()

    async def look(self) -> None:
        """Settle each source as things stand now. Raises DatabaseError."""
        for watched in self._watched:
            async with self._use() as connection, connection.transaction():
                await self._look_at(connection, watched)
        now = self._now()
        async with self._use() as connection:
            for hook in set(await alert_outbox.expire(connection, [hook.name for hook in self._hooks], now)):
                log.warning("alert.not_delivered", hook=hook, message=f"there is no hook {hook} any more")
            if now - self._pruned_at > _PRUNE_EVERY:
                await alerts.prune(connection, now)
                self._pruned_at = now

    async def deliver(self, hook: Hook) -> bool:
        """Send the hook its oldest message that is due; False when there is none. Raises DatabaseError."""
        now = self._now()
        async with self._use() as connection:
            waiting = await alert_outbox.claim(connection, hook.name, now, now + timedelta(seconds=LEASE_SECONDS))
        if waiting is None:
            return False
        if waiting.attempts > MOST_TRIES:  # each try ended with its process
            async with self._use() as connection:
                await alert_outbox.give_up(connection, waiting.id, now, "no try came to an end")
            return True
        outcome = await hook.send(message_of(waiting), now)
        async with self._use() as connection:
            await self._note(connection, hook, waiting, outcome)
        return True

    async def _note(self, connection: Connection, hook: Hook, waiting: Waiting, outcome: Outcome) -> None:
        now, bound = self._now(), log.bind(hook=hook.name, alert_id=waiting.alert_id, attempt=waiting.attempts)
        if outcome.error is None:
            await alert_outbox.delivered(connection, waiting.id, now)
            bound.info("alert.delivered", source=waiting.source, kind=waiting.kind, transition=waiting.transition)
            return
        next_at = now + timedelta(seconds=wait_seconds(waiting.attempts, outcome.retry_after_seconds))
        if outcome.gone or waiting.attempts >= MOST_TRIES or next_at > waiting.created_at + LONGEST:
            await alert_outbox.give_up(connection, waiting.id, now, outcome.error)
            bound.error("alert.not_delivered", source=waiting.source, kind=waiting.kind, message=outcome.error)
            return
        await alert_outbox.failed(connection, waiting.id, next_at, outcome.error)
        bound.warning("alert.delivery_failed", message=outcome.error, wait=round((next_at - now).total_seconds(), 1))

    async def _look_at(self, connection: Connection, watched: Watched) -> None:
        held = await alerts.hold(connection, watched.source)
        if held is not None:
            now = self._now()
            stale = stale_condition(held, now)
            await settle_alerts(connection, held, watched.rules, now, stale=stale, stale_known=True)

    async def _looking(self) -> None:
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        while True:
            await self._guarded(self.look())
            await asyncio.sleep(LOOK_SECONDS)

    async def _serving(self, hook: Hook) -> None:
        while True:
            if not await self._guarded(self.deliver(hook)):
                await asyncio.sleep(POLL_SECONDS)

    async def _guarded(self, work: Awaitable[bool | None]) -> bool:
        """What it came to; False after a failure, which is logged: nothing here may stop the loading."""
        try:
            done = bool(await work)
        except DatabaseError as error:
            self._database.failed(error)
        except Exception as bug:  # a bug here must not stop the loading either
            log.exception("alerts.failed_unexpectedly", message=f"unexpected {type(bug).__name__}")
        else:
            self._database.answered()
            return done
        return False

    @asynccontextmanager
    async def _use(self) -> AsyncGenerator[Connection]:
        """The one connection, for this task alone; opened anew when it was lost. Raises DatabaseError."""
        try:
            async with self._lock, asyncio.timeout(_ANSWER_SECONDS):
                if self._connection is None:
                    self._connection = await connect(self._options, application_name="kasparro:alerts")
                with house_errors():
                    yield self._connection
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise ConnectionLostError(f"the database did not answer within {_ANSWER_SECONDS:g} s") from error
            raise

    def close(self) -> None:
        """Leave the database; the next use connects anew."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def wait_seconds(attempts: int, asked: float | None, spread: Callable[[float, float], float] = random.uniform) -> float:
    """How long to wait after so many tries: doubling up to 15 minutes, jittered; or what was asked for."""
    ceiling = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 30))
    return max(spread(ceiling / 2, ceiling), min(asked or 0.0, LONGEST_ASKED_SECONDS))


def stale_condition(held: Held, now: datetime) -> Condition | None:
    """Whether the source has had no success for longer than its schedule allows; see services/freshness.py."""
    interval_seconds = held.interval_seconds
    if freshness(held.last_success_at, held.created_at, interval_seconds, now) != "stale" or interval_seconds is None:
        return None
    since = f"{(held.last_success_at or held.created_at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    told = f"no success since {since}" if held.last_success_at else f"no success yet, known since {since}"
    allowed = duration_text(timedelta(seconds=round(stale_after_seconds(interval_seconds))))
    return Condition("stale", "", f"{told}, where its schedule allows for {allowed}")
