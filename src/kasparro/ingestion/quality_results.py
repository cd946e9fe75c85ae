"""What a quality check says of what was found, in words and figures. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from kasparro.schemas.configuration.times import duration_text
from kasparro.schemas.quality import Check, Example, QualityResult
from kasparro.services.quality_scan import Count


def of_records(position: int, check: Check, count: Count) -> QualityResult:
    """Of a check of single records, or of what they have in common."""
    passed = count.failed <= Decimal(str(check.max_share)) * count.checked
    if not count.checked:
        message = f"{check.name}: there is no record to look at"
    elif not count.failed:
        message = f"{check.name}: so it is for all of {count.checked:,} records"
    else:
        message = f"{check.name}: not so for {_failures(check, count)}"
    return _result(position, check, message, passed=passed, count=count)


def row_count(position: int, check: Check, live: int) -> QualityResult:
    """Of a check of how many records there are."""
    low, high = check.low, check.high
    assert not isinstance(low, datetime)
    assert not isinstance(high, datetime)
    passed = (low is None or live >= low) and (high is None or live <= high)
    message = f"{check.name}: there {'is' if live == 1 else 'are'} {live:,}"
    return _result(position, check, message, passed=passed, count=Count(live, 0 if passed else live), seen=str(live))


def freshness(position: int, check: Check, newest: Example | None, at: datetime) -> QualityResult:
    """Of a check of the newest time; its example is that record, whether it passed or not."""
    if newest is None:
        return _result(position, check, f"{check.name}: no record has such a time", passed=False, count=Count(0, 0))
    moment = datetime.fromisoformat(str(newest.values[check.fields[0]]))
    age = at - moment
    passed = age <= check.max_age
    message = f"{check.name}: the newest is {_time(moment)} ({newest.record_key}), {_age(age)} when it was judged"
    count = Count(1, 0 if passed else 1, [newest])
    return _result(position, check, message, passed=passed, count=count, seen=_time(moment))


def _result(
    position: int, check: Check, message: str, *, passed: bool, count: Count, seen: str | None = None
) -> QualityResult:
    return QualityResult(
        position, check.name, check.level, passed, count.checked, count.failed, seen, message, count.examples,
        check.definition, check.fingerprint,
    )  # fmt: skip


def _failures(check: Check, count: Count) -> str:
    """`3 of 1,234 records, such as k1 (12.5, from run 7)`."""
    plural = "s" * (count.checked != 1)
    tolerated = f" (max_share allows {check.max_share:g})" if check.max_share else ""
    return f"{count.failed:,} of {count.checked:,} record{plural}{tolerated}{_such_as(check, count.examples)}"


def _such_as(check: Check, examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    first = examples[0]
    values = ", ".join("none" if value is None else value for value in first.values.values())
    keys = " and ".join(example.record_key for example in examples[: 2 if check.type == "unique" else 1])
    return f", such as {keys} ({values}; from run {first.run_id})"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _age(age: timedelta) -> str:
    """To the minute, or from two days on to the hour."""
    step = timedelta(hours=1) if abs(age) >= timedelta(days=2) else timedelta(minutes=1)
    rough = abs(age) // step * step if abs(age) >= step else timedelta(seconds=int(abs(age).total_seconds()))
    return f"{duration_text(rough)} {'old' if age >= timedelta(0) else 'ahead'}"
