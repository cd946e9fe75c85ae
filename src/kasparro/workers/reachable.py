"""Tells of a database that goes away once, however often it is asked meanwhile, and once that it is back."""

import structlog

from kasparro.core.errors import DatabaseError

log = structlog.get_logger()


class Reachable:
    """Whether one part of a scheduler reaches the database, as far as it was told; the events' names are given."""

    def __init__(self, away: str, back: str) -> None:
        self._away = away
        self._back = back
        self._is_away = False

    def failed(self, error: DatabaseError) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning(self._away, message=f"{error.message}; it is asked again until it answers")

    def answered(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info(self._back, message="the database answers again")
