"""Rows of `etl_runs` as the API shows them: no inner ids, nothing secret."""

import json
from dataclasses import asdict
from typing import Any, Final

from kasparro.api.shown_anomalies import shown_anomaly
from kasparro.api.shown_drift import shown_drift
from kasparro.core.masking import mask_text, masked
from kasparro.schemas.pages.quality import shown_quality
from kasparro.schemas.pages.runs import Run, RunDetail, RunError, RunRecords, RunRejects
from kasparro.services.digest import as_text
from kasparro.services.run_details import RunFindings
from kasparro.services.run_rejects import RejectsOfKind

_MOST_DRIFT: Final = 100


def shown_run(row: dict[str, Any]) -> Run:
    """A run in a list."""
    return Run.model_validate(_common(row))


def shown_run_detail(row: dict[str, Any], found: RunFindings) -> RunDetail:
    """A run by itself. What it planned and where it stood is masked once more: sources write cursors as they like."""
    names = ("pass_id", "code_version", "config_hash", "mapping_version", "mapping_hash", "gone", "size_bytes")
    documents = {name: _shown_document(row[name]) for name in ("plan", "checkpoint_before", "checkpoint_after")}
    digest = None if row["digest"] is None else as_text(int(row["digest"]))
    own = {name: row[name] for name in (*names, "stage_seconds")}
    own["snapshot"] = None if row["snapshot"] is None else mask_text(row["snapshot"])
    coverage = _shown_document(row["coverage"])
    return RunDetail.model_validate(
        {**_common(row), **own, **documents, "digest": digest, "coverage": coverage, **_shown_findings(found)}
    )


def _shown_findings(found: RunFindings) -> dict[str, Any]:
    return {
        "rejects": [_shown_rejects(each) for each in found.rejects],
        "more_rejects": found.more_rejects,
        "drift": [shown_drift(each) for each in found.drift[:_MOST_DRIFT]],
        "quality": [shown_quality(each) for each in found.quality],
        "anomalies": [shown_anomaly(each) for each in found.anomalies],
    }


def _shown_rejects(found: RejectsOfKind) -> RunRejects:
    masks = {"locator": mask_text(found.locator), "message": mask_text(found.message)}
    return RunRejects.model_validate({**asdict(found), **masks})


def _shown_document(text: str | None) -> dict[str, Any] | None:
    """Members by their names, which may be those of partitions, and so URLs."""
    if text is None:
        return None
    members: dict[str, Any] = json.loads(text)
    return {mask_text(name): masked(name, value) for name, value in members.items()}


def _common(row: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "source", "source_type", "state", "trigger", "queued_at", "started_at", "finished_at", "batches")
    return {
        **{name: row[name] for name in names},
        "operation": row["operation"],
        "resumes_run_id": row["resumes_run_id"],
        "duration_seconds": _seconds(row),
        "records": RunRecords(**{name: row[name] for name in RunRecords.model_fields}),
        "error": _error(row),
    }


def _seconds(row: dict[str, Any]) -> float | None:
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    return (row["finished_at"] - row["started_at"]).total_seconds()


def _error(row: dict[str, Any]) -> RunError | None:
    if row["error_code"] is None:
        return None
    return RunError(code=row["error_code"], message=mask_text(row["error_message"] or ""))
