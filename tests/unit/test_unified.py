"""What a valid unified record is."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from kasparro.schemas.unified import TARGET_FIELDS, UnifiedRecord


def record(**fields: Any) -> UnifiedRecord:
    return UnifiedRecord.model_validate({"record_key": "k", **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        record(**fields)
    [error] = caught.value.errors()
    return f"{error['loc'][0]}: {error['msg']}"


def test_text_becomes_nfc() -> None:
    made = record(record_key="e\u0301", title="A\u030a", tags=["n\u0303"])
    assert (made.record_key, made.title, made.tags) == ("\u00e9", "\u00c5", ["\u00f1"])


@pytest.mark.parametrize("field", ["record_key", "title", "body", "url", "author", "category", "unit", "entity_key"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\x00b", "a NUL character"), ("é\x00", "a NUL character"), ("\ud800", "lone surrogate|as a unicode string")],
)
def test_text_that_postgresql_cannot_hold_is_refused(field: str, text: str, reason: str) -> None:
    assert re.search(f"^{field}: .*({reason})$", refusal(**{field: text}))


def test_tags_are_text_too() -> None:
    assert refusal(tags=["a", "\x00"]) == "tags: Value error, contains a NUL character"


@pytest.mark.parametrize("value", [1.5, float("nan"), True])
def test_floats_are_refused(value: float) -> None:
    assert refusal(value=value) == "value: Value error, must be an exact decimal, not a float"


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), "NaN", "-Infinity"])
def test_numbers_that_are_none_are_refused(value: object) -> None:
    assert refusal(value=value).startswith("value: ")


@pytest.mark.parametrize("value", ["1e131072", "1e-16384", "-9e400000"])
def test_numbers_beyond_numeric_are_refused(value: str) -> None:
    assert refusal(value=value) == "value: Value error, is beyond the range of PostgreSQL's numeric"


def test_decimals_stay_exact() -> None:
    digits = "12345678901234567890123456789012345678901234567890.100"
    assert str(record(value=digits).value) == digits
    assert record(value=7).value == Decimal(7)
    assert record(value="1e131071").value == Decimal("1e131071")


def test_times_need_a_zone_and_become_utc() -> None:
    assert refusal(occurred_at=datetime(2026, 1, 1)).startswith("occurred_at: ")  # noqa: DTZ001
    here = datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    made = record(occurred_at=here).occurred_at
    assert (made, made and made.tzinfo) == (datetime(2026, 1, 1, tzinfo=UTC), UTC)


@pytest.mark.parametrize("field", ["record_key", "entity_key"])
def test_keys_fit_an_index_entry(field: str) -> None:
    assert getattr(record(**{field: "k" * 1024}), field) == "k" * 1024
    assert refusal(**{field: "k" * 1025}) == f"{field}: Value error, is longer than 1024 bytes"
    assert getattr(record(**{field: "é" * 512}), field) == "é" * 512
    assert refusal(**{field: "é" * 513}) == f"{field}: Value error, is longer than 1024 bytes"
    assert refusal(**{field: "\U0001f600" * 257}) == f"{field}: Value error, is longer than 1024 bytes"
    assert refusal(**{field: ""}).startswith(f"{field}: ")


def test_key_is_required_and_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="record_key"):
        UnifiedRecord.model_validate({})
    assert refusal(other="x").startswith("other: ")


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record().title = "x"  # pyright: ignore[reportAttributeAccessIssue]


def test_everything_but_the_key_may_be_mapped() -> None:
    assert TARGET_FIELDS == (
        "title", "body", "url", "author", "category", "tags", "value", "unit", "occurred_at", "entity_key",
        "attributes",
    )  # fmt: skip
