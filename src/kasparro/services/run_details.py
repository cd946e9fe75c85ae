"""All that is known of one run: its row, what it has come to up to now, and what was found about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kasparro.core.database import Connection
from kasparro.schemas.quality import QualityResult
from kasparro.services import anomalies, batches, drift, quality, run_pages, run_rejects
from kasparro.services.anomalies import FoundAnomaly
from kasparro.services.drift import DriftEvent
from kasparro.services.run_rejects import RejectsOfKind


@dataclass(frozen=True, slots=True)
class RunFindings:
    """What was found about a run, beside its row."""

    rejects: Sequence[RejectsOfKind]
    more_rejects: bool
    drift: Sequence[DriftEvent]
    quality: Sequence[QualityResult]
    anomalies: Sequence[FoundAnomaly]


async def of_run(connection: Connection, run_id: int) -> tuple[dict[str, Any], RunFindings]:
    """The run's row as others see it, with the sums over its batches while it is at work. Raises NotFoundError.

    `stage_seconds` is no JSON text, but its numbers by stage. Outside of a transaction.
    """
    row = await run_pages.find_seen(connection, run_id)
    size_bytes, stage_seconds = await batches.effort(connection, run_id)
    row |= {"size_bytes": size_bytes, "stage_seconds": stage_seconds}
    if row["finished_at"] is None:
        counters, count, _ = await batches.sums(connection, run_id)
        row |= {**counters.as_dict(), "batches": count}
    groups, more = await run_rejects.of_run(connection, row["source_id"], run_id)
    return row, RunFindings(
        rejects=groups,
        more_rejects=more,
        drift=await drift.drift_of_run(connection, run_id),
        quality=await quality.of_run(connection, run_id),
        anomalies=await anomalies.of_run(connection, run_id),
    )
