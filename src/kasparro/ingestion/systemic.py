"""When so many records of a batch are rejected that writing it would be wrong."""

from collections.abc import Collection

from kasparro.core.errors import SystemicError
from kasparro.ingestion.transform import Rejected, TransformedBatch
from kasparro.schemas.configuration import RejectLimit

_REASONS_SHOWN = 3


def systemic_error(
    source: str, batch: TransformedBatch, limit: RejectLimit, *, exempt: Collection[str] = ()
) -> SystemicError | None:
    """The error to fail the run with, or None for a batch that may be written.

    A record that was rejected only for codes in `exempt` does not count. The message has the most frequent reasons,
    each with its count and one locator.
    """
    counted = [record for record in batch.rejected if any(defect.code not in exempt for defect in record.defects)]
    if batch.fetched < limit.min_records or len(counted) <= limit.share * batch.fetched:
        return None
    return SystemicError(
        f"source {source}: {len(counted):,} of {batch.fetched:,} records of a batch were rejected "
        f"(reject_limit: {limit.share:g}): {'; '.join(_reasons(counted, exempt))}",
        hint="Nothing of this batch was written. Correct the source or its `map:`, or raise `reject_limit.share`.",
    )


def _reasons(rejected: list[Rejected], exempt: Collection[str]) -> list[str]:
    """The most frequent kinds of defect: `612 x value: invalid_decimal (such as a.csv:7: "x" is not a number)`."""
    counts: dict[tuple[str, str | None], int] = {}
    examples: dict[tuple[str, str | None], str] = {}
    for record in rejected:
        for defect in record.defects:
            kind = (defect.code, defect.field)
            if defect.code not in exempt:
                counts[kind] = counts.get(kind, 0) + 1
                examples.setdefault(kind, f"{record.locator}: {defect.message}")
    frequent = sorted(counts, key=lambda kind: -counts[kind])[:_REASONS_SHOWN]
    return [f"{counts[code, name]:,} x {_kind(code, name)} (such as {examples[code, name]})" for code, name in frequent]


def _kind(code: str, name: str | None) -> str:
    return code if name is None else f"{name}: {code}"
