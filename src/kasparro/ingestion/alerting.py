"""Alerts of a source, settled where its state changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import structlog

from kasparro.core.database import Connection
from kasparro.schemas.alerts import AlertRules, Condition
from kasparro.services import alerts


class Source(Protocol):
    """A source as the database knows it."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...


log = structlog.get_logger()
_LEVELS: Final = {"firing": "warning", "resolved": "info"}


async def settle_alerts(
    connection: Connection,
    source: Source,
    rules: AlertRules,
    at: datetime,
    *,
    stale: Condition | None = None,
    stale_known: bool = False,
) -> None:
    """Begin and end the alerts of a source, in the transaction that changes its state.

    For `stale` and `stale_known` see services/alerts.py.
    """
    for change in await alerts.settle(connection, source.id, rules, at, stale=stale, stale_known=stale_known):
        _tell(source.name, change)


async def abandon_alerts(connection: Connection, source_ids: Sequence[int], at: datetime) -> None:
    """End the alerts of sources that nobody reads any more, in the transaction that says so."""
    for source, change in await alerts.abandon(connection, source_ids, at):
        _tell(source, change)


def _tell(source: str, change: alerts.Change) -> None:
    tell = getattr(log, _LEVELS[change.transition])
    label = f" ({change.label})" if change.label else ""
    message = f"{change.kind}{label}: {change.summary}"
    tell(f"alert.{change.transition}", source=source, kind=change.kind, label=change.label, message=message)
