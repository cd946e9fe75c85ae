"""Verdicts of quality checks, as parts of bodies."""

from typing import Any, Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body
from kasparro.schemas.quality import QualityResult


class QualityExample(Body):
    """A record that does not hold to a check."""

    record_key: str
    values: dict[str, str | None] = Field(
        description="What is in the fields that were looked at, cut at 100 characters."
    )
    run_id: int = Field(description="The run that wrote the record as it stands.")
    raw_id: int = Field(description="The payload it is made from: `/raw/{id}`.")


class QualityVerdict(Body):
    """What one quality check of the source's `checks` said of its live records at the end of a run."""

    name: str = Field(description="The check in words, such as `value between 0 and 10`.")
    level: Literal["warn", "fail"] = Field(description="A failed check of level `fail` makes the run failed.")
    passed: bool
    checked: int = Field(description="Records that it was about: those without a value only count for `not_null`.")
    failed: int = Field(description="Records among them that do not hold to it.")
    seen: str | None = Field(
        description="What `row_count` and `fresh_within` found: the number of records, the newest time."
    )
    message: str = Field(description="What was found, in words.")
    examples: list[QualityExample] = Field(description="The first of the records that do not hold to it, at most 5.")
    definition: dict[str, Any] = Field(description="The check as it is configured.")


def shown_quality(result: QualityResult) -> QualityVerdict:
    """A result for a body."""
    examples = [
        QualityExample(record_key=each.record_key, values=each.values, run_id=each.run_id, raw_id=each.raw_id)
        for each in result.examples
    ]
    return QualityVerdict(
        name=result.name, level=result.level, passed=result.passed, checked=result.checked, failed=result.failed,
        seen=result.seen, message=result.message, examples=examples, definition=dict(result.definition),
    )  # fmt: skip
