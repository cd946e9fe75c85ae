"""The `map:` of a source: which field of the unified record comes from where."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.document import Scalar
from kasparro.schemas.configuration.expressions import Expression
from kasparro.schemas.readings import Defective, decimal_reading, time_reading

MEMBER_TAGS = frozenset({"<column>", "<expr>", "<value>", "<target>", "<list>", "<all>", "<each>"})
"""Names of union members below: Pydantic puts them into the locations of its errors."""


def _resolved(value: object) -> object:
    resolved = value.resolved if isinstance(value, Scalar) else value
    if not isinstance(resolved, str | bool | int | Decimal):
        raise PydanticCustomError("constant", "must be a text, a number, true or false")
    return resolved


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class ExpressionTarget(_Strict):
    """A JMESPath expression over the row."""

    expr: Expression
    """The expression, such as `join(' ', [first, last])`."""


class ConstantTarget(_Strict):
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
    Annotated[str, Field(min_length=1), Tag("<column>")]
    | Annotated[ExpressionTarget, Tag("<expr>")]
    | Annotated[ConstantTarget, Tag("<value>")],
    Discriminator(_kind),
]
"""A column's name, `{expr: JMESPath}`, or `{value: constant}`."""


def _tags_kind(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<target>"


def _attributes_kind(value: object) -> str:
    return "<all>" if isinstance(value, str) else "<each>"


class RecordMap(_Strict):
    """Targets, each filled from a column's name, from `{expr: JMESPath}` or by `{value: constant}`."""

    title: Target | None = None
    """What a person would call the record."""
    body: Target | None = None
    """Its text."""
    url: Target | None = None
    """Where it can be read."""
    author: Target | None = None
    """Who made it."""
    category: Target | None = None
    """What kind of thing it is."""
    tags: (
        Annotated[
            Annotated[Target, Tag("<target>")] | Annotated[tuple[Target, ...], Tag("<list>")],
            Discriminator(_tags_kind),
        ]
        | None
    ) = None
    """One target (an expression may give a list) or a list of targets."""
    value: Target | None = None
    """Its number, read as an exact decimal: `1234.5`, without grouping or units."""
    unit: Target | None = None
    """What the number counts."""
    occurred_at: Target | None = None
    """When it happened: ISO 8601, `2013-01-01T05:00:00Z`, `2013-01-01 05:00` or `2013-01-01`."""
    entity_key: Target | None = None
    """What it is about, by a name that other sources use as well."""
    attributes: (
        Annotated[
            Annotated[Literal["*"], Tag("<all>")] | Annotated[dict[str, Target], Tag("<each>")],
            Discriminator(_attributes_kind),
        ]
        | None
    ) = None
    """Everything else: names of your own, each with a target, or `"*"` for all columns not mapped elsewhere."""

    @field_validator("value", "occurred_at")
    @classmethod
    def _readable(cls, target: Target | None, info: ValidationInfo) -> Target | None:
        if isinstance(target, ConstantTarget):
            reading = decimal_reading(frozenset()) if info.field_name == "value" else time_reading("UTC", frozenset())
            try:
                reading(target.value)
            except Defective as defective:
                raise ValueError(defective.message) from None
        return target
