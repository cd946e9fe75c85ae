"""What one check of `kasparro doctor` found."""

from dataclasses import dataclass
from typing import Literal

from kasparro.core.errors import EXIT_OK

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `todo` says what to do unless all is well."""

    check: str
    verdict: Verdict
    found: str
    todo: str = ""
    exit_code: int = EXIT_OK
