"""Quality checks as they are judged, and what became of each at the end of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

CheckType = Literal["not_null", "unique", "in", "between", "matches", "fresh_within", "row_count"]
Level = Literal["warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a source's live records, as its configuration declares it.

    `name` says it in words, such as `value between 0 and 10`; `definition` is the check as it is configured, to be
    stored, and `fingerprint` a hash of that before anything in it is masked. Where a type of check has no use for a
    field, that is empty. `low` and `high` are both inclusive.
    """

    type: CheckType
    name: str
    level: Level
    definition: Mapping[str, Any]
    fingerprint: str
    fields: tuple[str, ...] = ()
    """Of the unified record; `attributes.NAME` for an attribute."""
    max_share: float = 0.0
    """How much of the records that are looked at may fail it."""
    texts: tuple[str, ...] = ()
    numbers: tuple[Decimal, ...] = ()
    low: Decimal | datetime | None = None
    high: Decimal | datetime | None = None
    until_now: bool = False
    """Whether the high end is when it is judged."""
    pattern: str = ""
    max_age: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Example:
    """A record that fails a check: which, what is in the fields, and which run and payload it is from."""

    record_key: str
    values: dict[str, str | None]
    run_id: int
    raw_id: int


@dataclass(frozen=True, slots=True)
class QualityResult:
    """What one check said: `failed` of the `checked` records do not hold to it. `seen`: what a check of the source as a
    whole found, a number of records or a time."""

    position: int
    name: str
    level: Level
    passed: bool
    checked: int
    failed: int
    seen: str | None
    message: str
    examples: Sequence[Example]
    definition: Mapping[str, Any]
    fingerprint: str
    """Of the check that was judged."""
