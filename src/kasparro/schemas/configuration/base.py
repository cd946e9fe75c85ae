"""What all sources have in common, and the kinds of values that their settings are made of."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, StringConstraints, field_validator

from kasparro.schemas.configuration.checks import Checks
from kasparro.schemas.configuration.deletes import Deletes
from kasparro.schemas.configuration.drift import DriftPolicies
from kasparro.schemas.configuration.expressions import Expression
from kasparro.schemas.configuration.retention import Retention
from kasparro.schemas.configuration.schedule import Schedule
from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.configuration.times import Span, TimeZone


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def without_repeats(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names. Raises ValueError when one stands there twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is given twice')
    return names


SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
ColumnName = Annotated[str, Field(min_length=1)]
ColumnNames = Annotated[tuple[ColumnName, ...], Field(min_length=1), AfterValidator(without_repeats)]
OneOrMore = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
"""One text stands for a list of one."""


class RejectLimit(Strict):
    """When so many records of one batch are rejected that the source, or its mapping, must be wrong."""

    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    """A batch with a larger share of rejected records is not written, and the run fails."""
    min_records: Annotated[int, Field(ge=1)] = 20
    """A batch with fewer records than this is never judged."""


class SourceConfig(Strict):
    """What every source has, whatever its type."""

    name: SourceName
    """How the source is called everywhere. Small letters, digits, `-` and `_`, at most 63; fixed once it has data."""
    where: Expression | None = None
    """A JMESPath predicate over the record as it comes (cells of a CSV file are text). Records for which it is not true
    are counted as filtered, and not kept: they cannot be replayed when it changes."""
    deletes: Deletes | None = None
    """How the source tells that records are deleted. Without it, nothing deletes a record."""
    null_values: tuple[str, ...] = ("",)
    """Texts that mean that there is no value."""
    timezone: TimeZone = "UTC"
    """The zone of times that come without one, by its IANA name. A time that a clock change skips is read with the
    offset before the change, one that it repeats as the first of the two."""
    reject_limit: RejectLimit = RejectLimit()
    """When a batch is refused as a whole."""
    checks: Checks = ()
    """What must hold of the source's records, judged at the end of each run."""
    schedule: Schedule | None = None
    """When the source is read by the scheduler. Every `ETL_INTERVAL_MINUTES` when absent."""
    deadline: Span | None = None
    """How long a run of the source may take, such as `2h`; then it fails, and the next one goes on from its last
    committed batch. `KASPARRO_RUN_DEADLINE_SECONDS` when absent."""
    retention: Retention | None = None
    """How long the source's history is kept. For ever when absent."""
    drift: DriftPolicies = DriftPolicies()
    """What happens when records are not any more what was accepted."""

    _written: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @property
    def written(self) -> dict[str, Any]:
        """The source as it stands in the file: variables not filled in."""
        return self._written

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("name", self.name)]

    @field_validator("null_values", mode="after")
    @classmethod
    def _sorted_null_values(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(values)))
