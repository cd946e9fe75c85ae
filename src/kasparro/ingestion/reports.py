"""What the log is told of a run: its one canonical line at the end, and what nobody expected, with its stack."""

import json
from collections.abc import Mapping
from typing import Any, Final

import structlog

from kasparro.core.canonical import storable_text
from kasparro.core.database import Connection
from kasparro.core.errors import KasparroError
from kasparro.ingestion.requests import RunPlan
from kasparro.services import anomalies, repeats, runs
from kasparro.services.anomalies import FoundAnomaly
from kasparro.services.sources import SourceInfo

_MOST_EXAMPLES: Final = 3
_COUNTED: Final = ("fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted")
log = structlog.get_logger()


def unexpected(bound: Any, bug: Exception) -> KasparroError:
    """What nobody expected, as the error of a run; logged with its stack."""
    bound.error("run.failed_unexpectedly", message=f"unexpected {type(bug).__name__}", exc_info=bug)
    return KasparroError(
        f"unexpected {type(bug).__name__}: {storable_text(str(bug))}",
        hint="this is a bug: please report it with the log",
    )


async def warn_of_new_mapping(connection: Connection, source: SourceInfo, version: int, *, told: bool) -> None:
    """Records that are not read again keep what an older mapping made of them: say so, once for each change."""
    earlier = await runs.last_mapping_version(connection, source.id)
    if told and earlier not in {None, version}:
        message = "the mapping changed: records that are not read again keep the old one until --full-refresh"
        log.warning("run.mapping_changed", source=source.name, message=message)


def log_start(bound: Any, plan: RunPlan) -> None:
    """That the run begins, and whether it goes on where another one broke off."""
    how = f"goes on from run {plan.resumes_run_id}" if plan.resumes_run_id else "begins"
    bound.info("run.started", message=f"run {plan.stamp.run_id} {how}", resumes_run_id=plan.resumes_run_id,
               operation=plan.stamp.operation, partitions=len(plan.partitions))  # fmt: skip


def log_end(bound: Any, row: dict[str, Any], found: Mapping[str, int], reject_codes: Mapping[str, int]) -> None:
    """How the run ended, in one line: its state, counters, size, stages, rejects by code, its error, and what was
    found (`services/run_facts`).
    """
    seconds = (row["finished_at"] - row["started_at"]).total_seconds()
    failed = row["error_code"] is not None
    told = f"run {row['id']} {row['state']}: {row['fetched']:,} records in {seconds:.1f} s"
    stages = row["stage_seconds"]
    bound.log(
        30 if failed else 20,
        "run.finished",
        message=f"{told}: {row['error_message']}" if failed else told,
        state=row["state"],
        trigger=row["trigger"],
        operation=row["operation"],
        duration_ms=round(seconds * 1000),
        **{f"records_{name}": row[name] for name in _COUNTED},
        **({"records_gone": row["gone"]} if row["snapshot"] is not None else {}),
        batches=row["batches"],
        size_bytes=row["size_bytes"],
        stage_seconds=json.loads(stages) if isinstance(stages, str) else stages,
        **({"rejects": dict(sorted(reject_codes.items()))} if reject_codes else {}),
        **{name: count for name, count in found.items() if count},
        **({"error.type": row["error_code"], "error.message": row["error_message"]} if failed else {}),
    )


async def report_anomalies(bound: Any, connection: Connection, run_id: int) -> tuple[FoundAnomaly, ...]:
    """What is unusual about the run, by its source's own history; the log is warned of each."""
    found = tuple(await anomalies.of_run(connection, run_id))
    for each in found:
        bound.warning(
            "run.anomaly",
            message=each.message,
            measure=each.measure,
            expected_low=each.expected_low,
            expected_high=each.expected_high,
            seen=each.seen,
            score=round(each.score, 1),
        )
    return found


async def report_repeats(bound: Any, connection: Connection, row: dict[str, Any]) -> None:
    """Warn of keys that came twice in one pass: with different content, with both places, for the last one counts; and
    with the same content from an API, whose pages then overlapped.
    """
    found = await repeats.count(connection, row["id"])
    if row["source_type"] == "api" and row["duplicate"] > found:
        _report_overlap(bound, row, row["duplicate"] - found)
    if not found:
        return
    shown = await repeats.examples(connection, row["id"], row["source_type"], most=_MOST_EXAMPLES)
    places = "; ".join(f"{each.record_key!r} at {each.earlier} and {each.later}" for each in shown)
    message = f"{found} times a key came again with other content, the last one counts: {places}"
    hint = "is the key unique? or did the source change while it was read?"
    bound.warning("run.key_not_unique", message=message, hint=hint, records=found)


def _report_overlap(bound: Any, row: dict[str, Any], records: int) -> None:
    message = f"{records:,} of {row['fetched']:,} records came twice: pages overlapped, and so others may be missing"
    hint = "sort by what stands still while it is read, or page by a cursor; --full-refresh reads all again"
    bound.warning("run.pages_overlap", message=message, hint=hint, records=records)
