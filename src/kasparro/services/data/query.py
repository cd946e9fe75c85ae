"""What can be asked about records, parsed and typed: nothing in here is text that came with a request as it was."""

from dataclasses import dataclass
from typing import Any, Literal

from kasparro.services.data.columns import Field

Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "in", "is"]
CountKind = Literal["exact", "planned", "estimated", "none"]
TotalKind = CountKind


@dataclass(frozen=True, slots=True)
class Filter:
    """`operand` has the column's type: int, Decimal or text, and for times text too; for `in` a list; for `is` a word.

    Inside `attributes` a Decimal is compared with what reads as a number there, text with text.
    """

    field: Field
    operator: Operator
    operand: Any
    negated: bool = False


@dataclass(frozen=True, slots=True)
class SortKey:
    """Values missing come last, whatever the direction."""

    field: Field
    descending: bool = False


@dataclass(frozen=True, slots=True)
class DataQuery:
    """Which records, in which order, from where on.

    `fields` None is all of them. `position` is what `RecordPage.position` said of the page before; it is for the same
    filters and sort, and stands instead of an offset. `cells` asks for lists of text (CSV), not for JSON.
    """

    filters: tuple[Filter, ...] = ()
    search: str | None = None
    sort: tuple[SortKey, ...] = ()
    fields: tuple[Field, ...] | None = None
    limit: int = 50
    offset: int = 0
    position: tuple[Any, ...] | None = None
    cells: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """How many records there are, and how that is known: counted, or the planner's guess."""

    number: int
    kind: TotalKind
