"""The `map:` of a source: which field of the unified record comes from where."""

from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.document import Scalar
from kasparro.schemas.configuration.expressions import Expression, JsonPath
from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.readings import Defective, decimal_reading, time_reading

MEMBER_TAGS = frozenset({"<column>", "<expr>", "<value>", "<target>", "<list>", "<all>", "<each>", "[key]"})
"""Names of union members below, and its own mark of keys: Pydantic puts them into the locations of its errors."""
Name = TypeVar("Name", bound=str)
"""How a plain text is read: as the name of a column, or as a path."""


def _resolved(value: object) -> object:
    resolved = value.resolved if isinstance(value, Scalar) else value
    if not isinstance(resolved, str | bool | int | Decimal):
        raise PydanticCustomError("constant", "must be a text, a number, true or false")
    return resolved


class ExpressionTarget(Strict):
    """A JMESPath expression over the record as it comes."""

    expr: Expression
    """The expression, such as `join(' ', [first, last])`."""


class ConstantTarget(Strict):
    """The same value for every record."""

    value: Annotated[
        str | bool | int | Decimal, BeforeValidator(_resolved, json_schema_input_type=str | bool | int | float)
    ]
    """The value."""


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "<column>"
    if isinstance(value, ConstantTarget) or (isinstance(value, dict) and "value" in value and "expr" not in value):
        return "<value>"
    return "<expr>"


Target = Annotated[
    Annotated[Name, Tag("<column>")]
    | Annotated[ExpressionTarget, Tag("<expr>")]
    | Annotated[ConstantTarget, Tag("<value>")],
    Discriminator(_kind),
]
"""A column's name or a path, `{expr: JMESPath}`, or `{value: constant}`."""


def _tags_kind(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<target>"


def _attributes_kind(value: object) -> str:
    return "<all>" if isinstance(value, str) else "<each>"


class RecordMap(Strict, Generic[Name]):
    """Which field of the unified record is filled from what."""

    title: Target[Name] | None = None
    """What a person would call the record."""
    body: Target[Name] | None = None
    """Its text."""
    url: Target[Name] | None = None
    """Where it can be read."""
    author: Target[Name] | None = None
    """Who made it."""
    category: Target[Name] | None = None
    """What kind of thing it is."""
    tags: (
        Annotated[
            Annotated[Target[Name], Tag("<target>")] | Annotated[tuple[Target[Name], ...], Tag("<list>")],
            Discriminator(_tags_kind),
        ]
        | None
    ) = None
    """One target (an expression may give a list) or a list of targets."""
    value: Target[Name] | None = None
    """Its number, read as an exact decimal: `1234.5`, without grouping or units."""
    unit: Target[Name] | None = None
    """What the number counts."""
    occurred_at: Target[Name] | None = None
    """When it happened: ISO 8601, `2013-01-01T05:00:00Z`, `2013-01-01 05:00` or `2013-01-01`."""
    entity_key: Target[Name] | None = None
    """What it is about, by a name that other sources use as well."""
    attributes: (
        Annotated[
            Annotated[Literal["*"], Tag("<all>")] | Annotated[dict[str, Target[Name]], Tag("<each>")],
            Discriminator(_attributes_kind),
        ]
        | None
    ) = None
    """Everything else: names of your own, each with a target, or `"*"` for all that is not mapped elsewhere."""

    @field_validator("value", "occurred_at")
    @classmethod
    def _readable(cls, target: Target[Name] | None, info: ValidationInfo) -> Target[Name] | None:
        if isinstance(target, ConstantTarget):
            reading = decimal_reading(frozenset()) if info.field_name == "value" else time_reading("UTC", frozenset())
            try:
                reading(target.value)
            except Defective as defective:
                raise ValueError(defective.message) from None
        return target


class ColumnMap(RecordMap[Annotated[str, Field(min_length=1)]]):
    """Targets, each filled from a column's name, from `{expr: JMESPath}` or by `{value: constant}`."""


class PathMap(RecordMap[JsonPath]):
    """Targets, each filled from a path such as `id` or `quotes.USD.price`, from `{expr: JMESPath}`, or by
    `{value: constant}`."""
