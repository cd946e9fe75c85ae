"""The unified record: the one definition of what a valid record is, whatever its source."""

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

MAX_KEY_BYTES = 1024
"""A b-tree entry must fit a third of a page (https://www.postgresql.org/docs/current/btree.html)."""
MAX_INTEGER_DIGITS = 131_072
MAX_FRACTION_DIGITS = 16_383


def _storable_text(value: str) -> str:
    """Unicode NFC; NUL and lone surrogates have no place in PostgreSQL text."""
    if value.isascii():
        if "\x00" in value:
            raise ValueError("contains a NUL character")
        return value
    if "\x00" in value:
        raise ValueError("contains a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("contains a lone surrogate")
    return unicodedata.normalize("NFC", value)


def _index_sized(value: str) -> str:
    if len(value) > MAX_KEY_BYTES // 4 and len(value.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"is longer than {MAX_KEY_BYTES} bytes")
    return value


def _never_float(value: object) -> object:
    if isinstance(value, bool | float):
        raise ValueError("must be an exact decimal, not a float")
    return value


def _storable_decimal(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("must be a finite number")
    if value.adjusted() >= MAX_INTEGER_DIGITS or -exponent > MAX_FRACTION_DIGITS:
        raise ValueError("is beyond the range of PostgreSQL's numeric")
    return value


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo is UTC else value.astimezone(UTC)


Text = Annotated[str, AfterValidator(_storable_text)]
KeyText = Annotated[str, Field(min_length=1), AfterValidator(_storable_text), AfterValidator(_index_sized)]
ExactDecimal = Annotated[Decimal, BeforeValidator(_never_float), AfterValidator(_storable_decimal)]


class UnifiedRecord(BaseModel):
    """A record's normalized state. Text is NFC without NUL, `value` an exact decimal, `occurred_at` in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    record_key: KeyText
    title: Text | None = None
    body: Text | None = None
    url: Text | None = None
    author: Text | None = None
    category: Text | None = None
    tags: Annotated[list[Text], Field(default_factory=list)]
    value: ExactDecimal | None = None
    unit: Text | None = None
    occurred_at: Annotated[AwareDatetime, AfterValidator(_utc)] | None = None
    entity_key: KeyText | None = None
    attributes: Annotated[dict[str, Any], Field(default_factory=dict)]


TARGET_FIELDS = tuple(name for name in UnifiedRecord.model_fields if name != "record_key")
"""Fields a mapping may fill; `record_key` comes from `key:`."""
