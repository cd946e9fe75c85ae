"""What may be said about how a source tells that records are deleted."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from kasparro.schemas.configuration.expressions import Expression
from kasparro.schemas.configuration.strict import Strict


class Deletes(Strict):
    """How records of a source get deleted here: by tombstones, by their absence from a complete reading, or both. They
    keep their row and their history, are not shown any more, and come back when the source has them again."""

    tombstone: Expression | None = None
    """A JMESPath predicate over the record as it comes, such as `deleted` or `status == 'withdrawn'` (cells of a CSV
    file are text, and any text is true: `deleted == 'yes'`). A record for which it is true says that the one of its key
    is deleted. It comes before `where` and the mapping."""
    snapshot: bool = False
    """Whether a complete reading holds every record that exists, so that those it lacks are gone. An empty or failed
    reading deletes nothing."""
    max_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.2
    """When more than this share of the live records is missing from a complete reading, none is deleted and the run
    fails, until `kasparro run SOURCE --confirm`. Goes with `snapshot`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.tombstone is None and not self.snapshot:
            raise ValueError("needs tombstone, snapshot: true, or both")
        if not self.snapshot and "max_share" in self.model_fields_set:
            raise ValueError("max_share goes with snapshot: true")
        return self
