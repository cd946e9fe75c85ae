"""When a record's payload is of: by the field that a backfill of its source goes by, in seconds since 1970."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from kasparro.core.errors import SourceError
from kasparro.ingestion.mapping import compile_target
from kasparro.ingestion.source import Payload, RecordRejected
from kasparro.ingestion.sources.api.search import Search
from kasparro.ingestion.sources.api.stamps import parse_stamp, seconds_of
from kasparro.schemas.configuration import AnySourceConfig, ApiSourceConfig, CsvSourceConfig
from kasparro.schemas.configuration.api import Incremental
from kasparro.schemas.readings import Defective

MomentOf = Callable[[Payload], Fraction | None]
"""None for a payload that has no such field, or none that reads as a time."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` on, until just before `until`; whole seconds."""

    since: datetime
    until: datetime

    def holds(self, moment: Fraction) -> bool:
        """Whether it lies in the window."""
        return seconds_of(self.since) <= moment < seconds_of(self.until)


def compile_moment(source: AnySourceConfig) -> MomentOf | None:
    """By `incremental.field` of an API, by `occurred_at` of a file; None for a source that has neither."""
    if isinstance(source, ApiSourceConfig):
        return None if source.incremental is None else _by_field(source.incremental)
    return _by_occurred_at(source) if isinstance(source, CsvSourceConfig) else None


def _by_field(incremental: Incremental) -> MomentOf:
    search = Search(incremental.field)

    def moment(payload: Payload) -> Fraction | None:
        try:
            stamp = parse_stamp(search(payload, ""), incremental.format)
        except SourceError:  # an expression that fails on this record: it has no time
            return None
        return None if stamp is None else stamp.at

    return moment


def _by_occurred_at(source: CsvSourceConfig) -> MomentOf | None:
    look = compile_target(source, "occurred_at")
    if look is None:
        return None

    def moment(payload: Payload) -> Fraction | None:
        try:
            time = look.one(payload)
        except (KeyError, Defective, RecordRejected):  # the mapping rejects it, with the reason
            return None
        return seconds_of(time) if isinstance(time, datetime) else None

    return moment
