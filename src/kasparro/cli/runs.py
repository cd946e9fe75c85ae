"""`kasparro runs list|show`: what ran, and what became of it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.secrets import know_secrets

if TYPE_CHECKING:
    from kasparro.services.run_details import RunFindings

_LISTED = (
    "id", "source", "state", "started_at", "finished_at", "fetched", "inserted", "updated", "unchanged", "duplicate",
    "rejected", "filtered", "deleted", "gone",
)  # fmt: skip
_FIRST = ("id", "source", "state", "error_code", "error_message")
SourceOption = Annotated[str | None, typer.Option("--source", help="Only runs of this source.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")]


@command(example="kasparro runs list --source flights --limit 5")
async def list_runs(context: Context, source: SourceOption = None, limit: LimitOption = 20) -> Result:
    """Show the latest runs, newest first."""
    from kasparro.services import run_pages, sources

    async with connected(context, "runs") as connection:
        if source is not None:
            await sources.get(connection, source)
        rows = await run_pages.latest(connection, source=source, limit=limit)
    shown = Table(_LISTED, [[row[name] for name in _LISTED] for row in rows], right=_LISTED[5:])
    return Result([_as_data(row) for row in rows], [shown] if rows else ["no run yet"])


@command(example="kasparro runs show 12")
async def show_run(
    context: Context, run: Annotated[int, typer.Argument(metavar="RUN", help="A run's number.")]
) -> Result:
    """Show everything about one run: what it read, how long each stage took, where it stood, what it rejected and why,
    and what was found about its records and about the run itself.
    """
    from kasparro.cli.drift import as_data as drift_as_data
    from kasparro.cli.quality import examples_table, quality_as_data, quality_table
    from kasparro.cli.unusual import anomalies_as_data, anomaly_lines
    from kasparro.services import run_details

    know_secrets(context)
    async with connected(context, "runs") as connection:
        row, found = await run_details.of_run(connection, run)
    data = _as_data(row)
    about = Table(("field", "value"), list(data.items()))
    judged = found.quality
    tables = [_rejects_table(found), _drift_table(found)]
    tables += [quality_table(judged), examples_table(judged)] if judged else []
    human = [part for table in tables if table is not None for part in ("", table)]
    data |= {
        "rejects": [asdict(each) for each in found.rejects],
        "more_rejects": found.more_rejects,
        "drift": [drift_as_data(each) for each in found.drift],
        "quality": quality_as_data(judged),
        "anomalies": anomalies_as_data(found.anomalies),
    }
    return Result(data, [about, *human, *anomaly_lines(found.anomalies)])


def _rejects_table(found: "RunFindings") -> Table | None:
    """What it was the last to reject, by code and field; None where that is nothing."""
    columns = ("code", "field", "payloads", "open", "times", "id", "locator", "message")
    rows = [[getattr(each, name) for name in columns] for each in found.rejects]
    title = "rejected, with the first of each" + (", the most frequent" if found.more_rejects else "")
    return Table(columns, rows, title=title, right=columns[2:6]) if rows else None


def _drift_table(found: "RunFindings") -> Table | None:
    columns = ("id", "kind", "field", "share", "confidence", "mapped", "policy", "state")
    rows = [
        [f"{getattr(each, name):.0%}" if name in ("share", "confidence") else getattr(each, name) for name in columns]
        for each in found.drift
    ]
    return Table(columns, rows, title="drift", right=("id", "share", "confidence")) if rows else None


def _as_data(row: dict[str, Any]) -> dict[str, Any]:
    """The run for people and programs: JSON columns parsed, the digest in hexadecimal, inner ids left out."""
    from kasparro.services.digest import as_text

    data = {name: value for name, value in row.items() if name not in ("source_id", "last_raw_id")}
    for name in ("plan", "checkpoint_before", "checkpoint_after", "coverage", "stage_seconds"):
        data[name] = json.loads(data[name]) if isinstance(data[name], str) else data[name]
    data["digest"] = None if data["digest"] is None else as_text(int(data["digest"]))
    return {name: data[name] for name in (*_FIRST, *data)}  # each once, where it first comes
