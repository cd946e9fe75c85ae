"""The `checks:` of a source: what must hold of its records, judged at the end of each run."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.choice import by_type
from kasparro.schemas.configuration.nearest import nearest
from kasparro.schemas.configuration.patterns import Pattern
from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.configuration.times import Span
from kasparro.schemas.readings import Defective, Reading, decimal_reading, time_reading
from kasparro.schemas.unified import TARGET_FIELDS

ATTRIBUTE: Final = "attributes."
MOST_CHECKS: Final = 100
_TEXTS: Final = ("title", "body", "url", "author", "category", "unit", "entity_key")
_OF_FEEDS: Final = frozenset({"title", "body", "url", "author", "category", "tags", "occurred_at"})
"""What a feed's entry fills where nothing is mapped."""


def _known_field(name: str) -> str:
    known = [*(field for field in TARGET_FIELDS if field != "attributes"), "record_key"]
    if name not in known and not (name.startswith(ATTRIBUTE) and name != ATTRIBUTE):
        hint = nearest(name, known) or f"; known are {', '.join(known)} and attributes.NAME"
        raise PydanticCustomError("field", "{reason}", {"reason": f'there is no field "{name}" in a record{hint}'})
    return name


def _one_of(what: str, *names: str) -> AfterValidator:
    """The name of a field that a check of this kind can be about: one of these, or an attribute."""

    def check(name: str) -> str:
        if _known_field(name) not in names and not name.startswith(ATTRIBUTE):
            reason = f"{what} is about {', '.join(names)} or attributes.NAME, not {name}"
            if name == "record_key":
                reason = "record_key names a record: every one has it, and no two have the same"
            raise PydanticCustomError("field", "{reason}", {"reason": reason})
        return name

    return AfterValidator(check)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_ONE_OR_MORE: Final = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
_SCALAR: Final = BeforeValidator(lambda value: value, json_schema_input_type=str | bool | int | float)


def _require(reading: Reading, value: str) -> None:
    """Raises ValueError unless the value can be read so."""
    try:
        reading(value)
    except Defective as defective:
        raise ValueError(defective.message) from None


class SourceCheck(Strict):
    """What all checks have."""

    level: Literal["warn", "fail"] = "fail"
    """What a run becomes of which it does not hold: `fail` makes it failed (exit code 7), `warn` is a warning. The data
    stays in either case."""


class RecordCheck(SourceCheck):
    """What all checks of single records have."""

    max_share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0
    """How much of the records that it looks at may fail it: `0.01` for one in a hundred."""


class NotNullCheck(RecordCheck):
    """Every record has a value there: null, and for `tags` the empty list, is none."""

    type: Literal["not_null"]
    """What is checked."""
    field: Annotated[
        tuple[Annotated[str, _one_of("not_null", *_TEXTS, "tags", "value", "occurred_at")], ...],
        Field(min_length=1),
        _ONE_OR_MORE,
    ]
    """The field, or the list of fields each of which must have a value."""


class UniqueCheck(RecordCheck):
    """No two records have the same there. Records without a value in any of the fields are not looked at."""

    type: Literal["unique"]
    """What is checked."""
    field: Annotated[
        tuple[Annotated[str, _one_of("unique", *_TEXTS, "value", "occurred_at")], ...],
        Field(min_length=1),
        _ONE_OR_MORE,
    ]
    """The field, or the list of fields whose values together are different in each record."""


class InCheck(RecordCheck):
    """What is there is one of these values. Records without a value are not looked at."""

    type: Literal["in"]
    """What is checked."""
    field: Annotated[str, _one_of("in", *_TEXTS, "tags", "value")]
    """The field. Of `tags`, each is looked at."""
    values: Annotated[tuple[Annotated[str, _SCALAR], ...], Field(min_length=1, max_length=1000)]
    """The values: texts, compared character by character, or numbers, compared as such (of `value`, and of attributes
    that are numbers)."""

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        if self.field == "value":
            for value in self.values:
                _require(decimal_reading(frozenset()), value)
        return self


class BetweenCheck(RecordCheck):
    """What is there is a number, or a time, between two others, which count as well. Records without a value are not
    looked at; an attribute that is no number is not between any."""

    type: Literal["between"]
    """What is checked."""
    field: Annotated[str, _one_of("between", "value", "occurred_at")]
    """The field: `value`, `occurred_at`, or an attribute with numbers."""
    min: Annotated[str, _SCALAR] | None = None
    """The lowest: an exact decimal, or for `occurred_at` a time (ISO 8601; without a zone in the source's)."""
    max: Annotated[str, _SCALAR] | None = None
    """The highest; for `occurred_at` also `now`, for what cannot have happened yet."""

    @field_validator("min", "max")
    @classmethod
    def _readable(cls, bound: str | None, info: ValidationInfo) -> str | None:
        field = info.data.get("field")
        if bound is None or field is None:
            return bound
        if field == "occurred_at" and not (bound == "now" and info.field_name == "max"):
            _require(time_reading("UTC", frozenset()), bound)
        elif field != "occurred_at":
            _require(decimal_reading(frozenset()), bound)
        return bound

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max, or both")
        ends = [self._read(end) for end in (self.min, self.max) if end is not None and end != "now"]
        if ends != sorted(ends):
            raise ValueError("min is above max: nothing is between them")
        return self

    def _read(self, bound: str) -> Any:
        reading = time_reading("UTC", frozenset()) if self.field == "occurred_at" else decimal_reading(frozenset())
        return reading(bound)


class MatchesCheck(RecordCheck):
    """What is there matches a regular expression anywhere; with `^` and `$`, as a whole. Records without a value are
    not looked at."""

    type: Literal["matches"]
    """What is checked."""
    field: Annotated[str, _one_of("matches", *_TEXTS)]
    """The field. An attribute that is no text is looked at as JSON writes it."""
    pattern: Pattern
    """A regular expression as
    [PostgreSQL](https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP) reads it, as in
    `^https://`. The edge of a word is `\\y`. In double quotes, YAML wants each backslash twice, in single ones once."""


class FreshWithinCheck(SourceCheck):
    """The newest time is not older than this when the run ends. Times that are further in the future do not count, and
    a source without any is not fresh."""

    type: Literal["fresh_within"]
    """What is checked."""
    max_age: Span
    """The age, such as `2h`."""
    field: Literal["occurred_at", "last_changed_at"] = "occurred_at"
    """What is looked at: when something happened, or `last_changed_at`, when a record was last new or different."""


class RowCountCheck(SourceCheck):
    """The source has so many live records: all that it has brought, without those that were deleted."""

    type: Literal["row_count"]
    """What is checked."""
    min: Annotated[int, Field(ge=0)] | None = None
    """At least so many."""
    max: Annotated[int, Field(ge=0)] | None = None
    """At most so many."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max: nothing is between them")
        return self


AnyCheck = NotNullCheck | UniqueCheck | InCheck | BetweenCheck | MatchesCheck | FreshWithinCheck | RowCountCheck
TypedCheck = Annotated[
    Annotated[NotNullCheck, Tag("<not_null>")]
    | Annotated[UniqueCheck, Tag("<unique>")]
    | Annotated[InCheck, Tag("<in>")]
    | Annotated[BetweenCheck, Tag("<between>")]
    | Annotated[MatchesCheck, Tag("<matches>")]
    | Annotated[FreshWithinCheck, Tag("<fresh_within>")]
    | Annotated[RowCountCheck, Tag("<row_count>")],
    Discriminator(
        by_type(NotNullCheck, UniqueCheck, InCheck, BetweenCheck, MatchesCheck, FreshWithinCheck, RowCountCheck)
    ),
]
Checks = Annotated[tuple[TypedCheck, ...], Field(max_length=MOST_CHECKS)]


def fields_of(check: AnyCheck) -> tuple[str, ...]:
    """The fields that a check looks at."""
    if isinstance(check, RowCountCheck):
        return ()
    return (check.field,) if isinstance(check.field, str) else check.field


def unmapped(checks: tuple[AnyCheck, ...], mapped: Any, *, is_feed: bool) -> Iterator[tuple[int, str]]:
    """Position and name of the fields of checks that no record can have, as the `map:` of the source fills none."""
    attributes = getattr(mapped, "attributes", None)
    for position, check in enumerate(checks):
        for name in fields_of(check):
            own = name.removeprefix(ATTRIBUTE)
            if name == "last_changed_at" or (is_feed and name in _OF_FEEDS):
                continue
            if name == own and getattr(mapped, name, None) is None:
                yield position, f"the source maps nothing to {name}: no record has it"
            elif name != own and attributes != "*" and own not in (attributes or {}):
                hint = nearest(own, attributes or ())
                yield position, f'the source maps nothing to the attribute "{own}"{hint}'
