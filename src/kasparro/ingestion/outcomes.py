"""How running a source ended, for whoever asked for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kasparro.core.errors import KasparroError, RunConflictError
from kasparro.schemas.quality import QualityResult
from kasparro.services.anomalies import FoundAnomaly


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `row` is its row in `etl_runs`, None when it never came to be; `error` what ended it early.

    `rejected` counts over every restart after a lost connection, and may count a batch that was lost with it twice;
    `earlier` are the rows of the runs before such restarts, with what was committed of each.
    """

    source: str
    state: str
    row: dict[str, Any] | None
    error: KasparroError | None = None
    rejected: int = 0
    earlier: tuple[dict[str, Any], ...] = ()
    quality: tuple[QualityResult, ...] = ()
    """What its quality checks said; nothing where it did not reach its end."""
    anomalies: tuple[FoundAnomaly, ...] = ()
    """What is unusual about it, by the source's history."""

    @property
    def shown_state(self) -> str:
        """What became of it; nothing has failed where another run had the source."""
        return "skipped" if isinstance(self.error, RunConflictError) else self.state

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all its runs, in their order."""
        return [*self.earlier, *([] if self.row is None else [self.row])]

    @property
    def not_before(self) -> datetime | None:
        """When the source may be asked again, if its server said so."""
        return self.row["not_before"] if self.row else None
