"""`kasparro retention`: what is older than the sources want to keep, and dropping it."""

import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import EXIT_CONFLICT, EXIT_OK

if TYPE_CHECKING:
    from kasparro.ingestion.operations.retention import MonthFate, RetentionReport, SourceFate

_MONTHS: Final = ("type", "month", "partition", "source", "rows", "kept", "bytes", "fate", "reason")
_SOURCES: Final = (
    "source", "fate", "payloads", "payload_bytes", "runs", "batches", "batch_bytes", "verdicts", "reason",
)  # fmt: skip


@command(example="kasparro retention --apply")
async def retention(
    context: Context,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, instead of saying what would be done.")] = False,
) -> Result:
    """Say what is older than each source's `retention:` and would be dropped; with --apply, drop it.

    No record is dropped, nor the payload that it is made from, nor that of an open reject. Exit 8 when something has to
    wait because somebody else is at work on it.
    """
    from datetime import UTC, datetime

    from kasparro.core.database import resolve
    from kasparro.ingestion.operations import retention as operation
    from kasparro.schemas.configuration import load_configuration

    configured = load_configuration(context.config_path, os.environ).sources
    ages = {source.name: source.retention for source in configured if source.retention is not None}
    if not ages:
        return Result(_nothing(), [f"no source in {context.config_path} has `retention:`, so all is kept for ever"])
    options = await resolve(context.settings, report=context.note)
    do = operation.apply if apply else operation.plan
    report = await do(options, ages, datetime.now(UTC))
    return Result(_data(report), _human(report), EXIT_CONFLICT if report.skipped else EXIT_OK)


def _nothing() -> dict[str, Any]:
    return {"applied": False, "size_bytes": 0, "skipped": 0, "months": [], "sources": []}


def _data(report: "RetentionReport") -> dict[str, Any]:
    return {
        "applied": report.applied,
        "at": report.at,
        "size_bytes": report.size_bytes,
        "skipped": report.skipped,
        "months": [_month(item) for item in report.months],
        "sources": [_source(item) for item in report.sources],
    }


def _month(item: "MonthFate") -> dict[str, Any]:
    month = item.month
    return {
        "type": month.source_type,
        "month": f"{month.month:%Y-%m}",
        "partition": month.partition,
        "fate": item.fate,
        "reason": item.reason,
        "rows": item.rows,
        "kept": item.kept,
        "rejects": item.rejects,
        "size_bytes": month.size_bytes,
        "sources": [
            {
                "source": share.source,
                "rows": share.rows,
                "pointed_at": share.pointed,
                "payload_bytes": share.payload_bytes,
            }
            for share in month.shares
        ],
    }


def _source(item: "SourceFate") -> dict[str, Any]:
    return {
        "source": item.source,
        "fate": item.fate,
        "reason": item.reason,
        "payloads": item.payloads,
        "payload_bytes": item.payload_bytes,
        "runs": item.thinned.runs,
        "batches": item.thinned.batches,
        "batch_bytes": item.thinned.size_bytes,
        "verdicts": item.verdicts,
    }


def _human(report: "RetentionReport") -> list[str | Table]:
    months = [row for item in report.months for row in _rows(item)]
    sources = [[_source(item)[name] for name in _SOURCES] for item in report.sources]
    parts: list[str | Table] = []
    if months:
        parts += [Table(_MONTHS, months, "Payloads, by month", right=("rows", "kept", "bytes")), ""]
    if sources:
        title = "Kept payloads that nothing points at any more; batches of old runs, and what their checks said"
        parts += [Table(_SOURCES, sources, title, right=_SOURCES[2:8]), ""]
    size = f"about {report.size_bytes / 2**20:,.1f} MiB"
    said = f"freed {size}" if report.applied else f"would free {size}; `kasparro retention --apply` does it"
    waiting = f"; {report.skipped} left for the next time" if report.skipped else ""
    return [*parts, said + waiting]


def _rows(item: "MonthFate") -> list[list[object]]:
    """One line for the partition, and one below it for each source where there are several."""
    month, several = item.month, len(item.month.shares) != 1
    names = "(all)" if len(month.shares) > 1 else "".join(share.source for share in month.shares)
    where: list[object] = [month.source_type, f"{month.month:%Y-%m}", month.partition or "(default)"]
    lines: list[list[object]] = [[*where, names, item.rows, item.kept, month.size_bytes, item.fate, item.reason]]
    shares = month.shares if several else ()
    lines += [[*where, share.source, share.rows, share.pointed, share.payload_bytes, "", ""] for share in shares]
    return lines
