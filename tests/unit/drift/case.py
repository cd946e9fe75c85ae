"""What a case of drift is: payloads from before, payloads from after, and what is to be found between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """Two sides of a source, and the findings that the second must give against the shape of the first.

    Payloads hold JSON values, decimals as `Decimal`; those of a CSV source hold text only. A finding is its kind
    (`field_added, field_missing, type_changed, field_renamed, value_shift`) and its field: nested paths are dotted,
    elements of lists are `tags[]`, and the field of a rename is `old -> new`, which stands for the missing and the
    added field as well. What is in neither `found` nor `allowed` is a false finding.
    """

    name: str
    before: Sequence[dict[str, Any]]
    """Payloads of the runs by which the shape was accepted."""
    after: Sequence[dict[str, Any]]
    """Payloads of the run that is looked at."""
    mapped: frozenset[str]
    """Paths that the mapping uses, such as `properties.mag`."""
    found: frozenset[tuple[str, str]]
    """What must be found."""
    allowed: frozenset[tuple[str, str]] = frozenset()
    """What may be found and need not be."""
