"""What may be said about how long a source's history is kept."""

from typing import Self

from pydantic import model_validator

from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.configuration.times import Span


class Retention(Strict):
    """How long a source's history is kept: what `kasparro retention --apply` and, once a day, the scheduler drop. No
    record is ever dropped, nor the payload that one is made from, nor that of an open reject."""

    raw: Span | None = None
    """How long payloads are kept that no record is made from any more, such as `90d`. They go by whole months (of UTC),
    each when all of it is older, for every source of the same type that has payloads of that month. For ever when
    absent."""
    runs: Span | None = None
    """How long what each batch of a run did is kept, such as `180d`; after that, its sums; and as long what quality
    checks said at its end. Runs themselves stay. For ever when absent."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.raw is None and self.runs is None:
            raise ValueError("needs raw, runs, or both")
        return self
