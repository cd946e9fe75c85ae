"""What a `Prefer` header asks for (RFC 7240): a preference that is unknown or malformed is passed over."""

import re
from collections.abc import Iterable
from typing import Final, cast

from kasparro.api.query_language.parsing import Count

_COUNT: Final = re.compile(r'\s*count\s*=\s*"?(exact|planned|estimated|none)"?\s*(?:;.*)?', re.IGNORECASE)


def preferred_count(headers: Iterable[str]) -> Count | None:
    """The first `count=..` in the values of all `Prefer` headers."""
    for preference in ",".join(headers).split(","):
        if match := _COUNT.fullmatch(preference):
            return cast("Count", match[1].lower())
    return None
