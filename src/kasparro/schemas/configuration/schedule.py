"""When a source is read: at an interval, or by a cron expression."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.strict import Strict, require_one
from kasparro.schemas.configuration.times import Duration, Span, TimeZone

_JITTER_SHARE: Final = 10
_LARGEST_JITTER: Final = timedelta(seconds=30)
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _known_cron(expression: str) -> str:
    try:
        next(CronSim(expression, _FIRST))
    except (CronSimError, StopIteration) as error:
        reason = str(error) or "it never comes"
        raise PydanticCustomError("cron", "{reason}", {"reason": _explained(expression, reason)}) from None
    return expression


def _explained(expression: str, reason: str) -> str:
    said = f"{reason[:1].lower()}{reason[1:]}"
    return (
        f'"{expression}" is not a cron expression ({said}); write minute hour day month weekday, such as "*/5 * * * *"'
    )


Cron = Annotated[str, AfterValidator(_known_cron)]


class Schedule(Strict):
    """When a source is read: `{every: 5m}` or `{cron: "0 6 * * *"}`."""

    every: Span | None = None
    """The time from the start of one run to the start of the next, such as `5m`."""
    cron: Cron | None = None
    """Minute, hour, day of the month, month and weekday, as cron writes them; with six fields, the first is the
    second."""
    timezone: TimeZone = "UTC"
    """The zone of `cron`, by its IANA name. What a clock change skips runs right after it; what it repeats, once."""
    jitter: Duration | None = None
    """Runs begin up to this much later, so that not all begin at once. A tenth of the time between two runs when
    absent, at most 30 s."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        require_one(every=self.every, cron=self.cron)
        if self.every is not None and "timezone" in self.model_fields_set:
            raise ValueError("timezone goes with cron, not with every")
        return self

    def next_after(self, moment: datetime) -> datetime:
        """The first due time after `moment`; both in UTC. Pure, and without jitter."""
        if self.every is not None:
            return moment + self.every
        assert self.cron is not None
        return next(CronSim(self.cron, moment.astimezone(ZoneInfo(self.timezone)))).astimezone(UTC)

    def spread(self, distance: timedelta) -> timedelta:
        """How much later than due a run may begin, where `distance` is the time between two runs."""
        return self.jitter if self.jitter is not None else min(distance / _JITTER_SHARE, _LARGEST_JITTER)


def every(interval: timedelta) -> Schedule:
    """The schedule of sources that have none of their own."""
    return Schedule(every=interval)
