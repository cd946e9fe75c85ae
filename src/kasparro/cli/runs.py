"""`kasparro runs list|show`: what ran, and what became of it."""

import json
from typing import Annotated, Any

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table

_LISTED = (
    "id", "source", "state", "started_at", "finished_at", "fetched", "inserted", "updated", "unchanged", "duplicate",
    "rejected", "filtered", "deleted", "gone",
)  # fmt: skip
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
    """Show everything about one run."""
    from kasparro.cli.quality import examples_table, quality_as_data, quality_table
    from kasparro.cli.unusual import anomalies_as_data, anomaly_lines
    from kasparro.services import anomalies, quality, run_pages

    async with connected(context, "runs") as connection:
        data = _as_data(await run_pages.find_seen(connection, run))
        judged = await quality.of_run(connection, run)
        unusual = await anomalies.of_run(connection, run)
    about = Table(("field", "value"), list(data.items()))
    tables = [quality_table(judged), examples_table(judged)] if judged else []
    human = [part for table in tables if table is not None for part in ("", table)]
    data |= {"quality": quality_as_data(judged), "anomalies": anomalies_as_data(unusual)}
    return Result(data, [about, *human, *anomaly_lines(unusual)])


def _as_data(row: dict[str, Any]) -> dict[str, Any]:
    """The run for people and programs: JSON columns parsed, the digest in hexadecimal, inner ids left out."""
    from kasparro.services.digest import as_text

    data = {name: value for name, value in row.items() if name != "source_id"}
    for name in ("plan", "checkpoint_before", "checkpoint_after"):
        data[name] = None if data[name] is None else json.loads(data[name])
    data["digest"] = None if data["digest"] is None else as_text(int(data["digest"]))
    return data
