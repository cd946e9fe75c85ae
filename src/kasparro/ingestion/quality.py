"""The verdict of a source's quality checks on its records, in the final transaction of a pass, and what is told of it.

A pass is judged when all of it is written and settled, before its run is closed. Records that are as they were at the
last verdict are not read again: the source's digest tells, whoever wrote since then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kasparro import __version__
from kasparro.core.canonical import storable_text
from kasparro.core.database import Connection
from kasparro.core.errors import ConfigurationError, KasparroError, QualityError
from kasparro.core.masking import mask_text
from kasparro.ingestion.quality_results import freshness, of_records, row_count
from kasparro.ingestion.requests import RunPlan
from kasparro.schemas.quality import Check, Example, QualityResult
from kasparro.services import quality, quality_scan

_MOST_NAMED: Final = 3
_OF_SOURCE: Final = ("fresh_within", "row_count")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is to be closed with."""

    state: str = "succeeded"
    reason: tuple[str, str] | None = None


async def judge(connection: Connection, plan: RunPlan, at: datetime) -> Judgement:
    """Judge the source's live records, and store what each check says. In the final transaction, the pass settled.

    A backfill is not judged, chunk by chunk: the next ordinary run does. What an operation leaves is, so that a verdict
    that it mends does not stand any longer; but the operation has done what it was asked for, and does not fail.
    """
    operation = plan.operation
    if not plan.checks or (operation is not None and operation.name == "backfill"):
        return Judgement()
    stamp = plan.stamp
    results = await _results(connection, stamp.source_id, stamp.run_id, plan.checks, at)
    await quality.save(connection, stamp.run_id, stamp.source_id, results)
    failed = [result for result in results if not result.passed and result.level == "fail"]
    if not failed or operation is not None:
        return Judgement()
    return Judgement("failed", (QualityError.code, storable_text(mask_text(_reason(failed)))))


async def report_quality(bound: Any, connection: Connection, plan: RunPlan) -> tuple[QualityResult, ...]:
    """What the run's checks said; the log is warned of each that failed."""
    if not plan.checks:
        return ()
    results = tuple(await quality.of_run(connection, plan.stamp.run_id))
    for result in results:
        if not result.passed:
            bound.warning(
                "run.quality_check_failed", message=result.message, check=result.name, check_level=result.level
            )
    return results


def quality_error(row: dict[str, Any]) -> KasparroError | None:
    """Why a run was closed as failed that reached its end; None for every other run."""
    if row["error_code"] != QualityError.code:
        return None
    hint = f"the data stays as it was loaded, and the next run judges again; see `kasparro runs show {row['id']}`"
    return QualityError(row["error_message"], hint=hint)


async def faulty_pattern(connection: Connection, checks: Sequence[Check]) -> KasparroError | None:
    """The first regular expression that the database cannot read; outside of a transaction, before anything is read."""
    for check in checks:
        if check.pattern and (reason := await quality_scan.wrong_pattern(connection, check.pattern)):
            return ConfigurationError(f"checks: {check.name}: {reason}", hint="see `pattern` in docs/quality.md")
    return None


async def _results(
    connection: Connection, source_id: int, run_id: int, checks: Sequence[Check], at: datetime
) -> list[QualityResult]:
    standing = await _standing(connection, source_id, run_id, checks)
    results = {} if standing is None else dict(enumerate(standing))
    for place, check in enumerate(checks):
        if check.type == "fresh_within":
            newest = await _newest(connection, source_id, check, results.get(place), at)
            results[place] = freshness(place, check, newest, at)
    if len(results) < len(checks):
        single = {place: check for place, check in enumerate(checks) if check.type not in _OF_SOURCE}
        scan = await quality_scan.scan(connection, source_id, single, at)
        counted = {place: check for place, check in enumerate(checks) if check.type == "row_count"}
        results |= {place: of_records(place, check, scan.counts[place]) for place, check in single.items()}
        results |= {place: row_count(place, check, scan.live) for place, check in counted.items()}
    return [results[place] for place in range(len(checks))]


async def _standing(
    connection: Connection, source_id: int, run_id: int, checks: Sequence[Check]
) -> list[QualityResult] | None:
    """The last results, if they are those of the same checks over the same records, and nothing of them has failed."""
    last = await quality.last(connection, source_id)
    if last is None or last.code_version != __version__:
        return None
    if [result.fingerprint for result in last.results] != [check.fingerprint for check in checks]:
        return None
    pairs = zip(last.results, checks, strict=True)
    if not all(result.passed for result, check in pairs if check.type != "fresh_within"):
        return None
    now = await quality.records_now(connection, source_id, run_id)
    return None if now.written or now.digest != last.digest else last.results


async def _newest(
    connection: Connection, source_id: int, check: Check, before: QualityResult | None, at: datetime
) -> Example | None:
    """The newest record; of the same records, when one last changed is known already."""
    if before is not None and before.examples and check.fields == ("last_changed_at",):
        return before.examples[0]
    return await quality_scan.newest(connection, source_id, check, at + check.max_age)


def _reason(failed: Sequence[QualityResult]) -> str:
    named = "; ".join(result.message for result in failed[:_MOST_NAMED])
    more = f"; and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
    return f"{len(failed)} quality check{'s' * (len(failed) > 1)} failed: {named}{more}"
