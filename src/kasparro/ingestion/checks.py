"""From the checks of a source's configuration to checks that can be judged."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from kasparro.core.canonical import hash_text, storable_text
from kasparro.core.masking import mask_text, masked
from kasparro.schemas.configuration import AnySourceConfig
from kasparro.schemas.configuration.checks import (
    AnyCheck,
    BetweenCheck,
    FreshWithinCheck,
    InCheck,
    MatchesCheck,
    NotNullCheck,
    RowCountCheck,
    UniqueCheck,
)
from kasparro.schemas.configuration.times import duration_text
from kasparro.schemas.quality import Check
from kasparro.schemas.readings import Defective, decimal_reading, shown, time_reading

_MOST_SHOWN: Final = 5
NOW: Final = "now"
"""The high end of a range that ends when it is judged."""


def compile_checks(config: AnySourceConfig) -> tuple[Check, ...]:
    """The checks of a source, in the order of its configuration."""
    return tuple(_compiled(check, config.timezone) for check in config.checks)


def _compiled(check: AnyCheck, timezone: str) -> Check:
    definition = check.model_dump(mode="json", exclude_none=True)
    settings = _settings(check, timezone)
    low, high = settings.get("low"), settings.get("high")
    times = {"min": low, "max": high} if isinstance(low or high, datetime) else {}
    definition |= {name: time.isoformat() for name, time in times.items() if isinstance(time, datetime)}
    share = check.max_share if not isinstance(check, FreshWithinCheck | RowCountCheck) else 0.0
    name = storable_text(mask_text(settings.pop("name")))
    fingerprint = hash_text(json.dumps(definition, sort_keys=True)).hex()
    shown_definition = masked("definition", definition)
    return Check(check.type, name, check.level, shown_definition, fingerprint, max_share=share, **settings)


def _settings(check: AnyCheck, timezone: str) -> dict[str, Any]:
    """What a check of its type has beside what all have."""
    match check:
        case NotNullCheck():
            return {"name": f"{', '.join(check.field)} not null", "fields": check.field}
        case UniqueCheck():
            return {"name": f"{', '.join(check.field)} unique", "fields": check.field}
        case InCheck():
            numbers = tuple(number for number in map(_number, check.values) if number is not None)
            return {"name": _name_of_list(check), "fields": (check.field,), "texts": check.values, "numbers": numbers}
        case BetweenCheck():
            return _settings_of_range(check, timezone)
        case MatchesCheck():
            name = f"{check.field} matches {shown(check.pattern)}"
            return {"name": name, "fields": (check.field,), "pattern": check.pattern}
        case FreshWithinCheck():
            name = f"{check.field} within {duration_text(check.max_age)}"
            return {"name": name, "fields": (check.field,), "max_age": check.max_age}
        case RowCountCheck():
            low, high = (None if bound is None else Decimal(bound) for bound in (check.min, check.max))
            return {"name": f"row count {_range(check.min, check.max)}", "low": low, "high": high}


def _settings_of_range(check: BetweenCheck, timezone: str) -> dict[str, Any]:
    read = time_reading(timezone, frozenset()) if check.field == "occurred_at" else decimal_reading(frozenset())
    low, high = (None if bound in {None, NOW} else read(bound) for bound in (check.min, check.max))
    name = f"{check.field} {_range(check.min, check.max)}"
    return {"name": name, "fields": (check.field,), "low": low, "high": high, "until_now": check.max == NOW}


def _name_of_list(check: InCheck) -> str:
    named = ", ".join(map(shown, check.values[:_MOST_SHOWN]))
    more = f" and {len(check.values) - _MOST_SHOWN} more" if len(check.values) > _MOST_SHOWN else ""
    return f"{check.field} in {named}{more}"


def _range(low: object, high: object) -> str:
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"between {low} and {high}"


def _number(text: str) -> Decimal | None:
    """The number that a text reads as, if it does."""
    try:
        number: Decimal | None = decimal_reading(frozenset())(text)
    except Defective:
        return None
    return number
