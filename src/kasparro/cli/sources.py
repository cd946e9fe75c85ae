"""`kasparro sources`: what is configured, and how each source fared last."""

import os
from typing import Any

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.masking import mask_text

_COLUMNS = ("name", "type", "configured", "state", "run_id", "finished_at", "last_success_at", "error_message")


@command(example="kasparro sources")
async def sources(context: Context) -> Result:
    """List the configured sources and those that the database remembers, each with its latest run."""
    from kasparro.schemas.configuration import load_configuration
    from kasparro.services import sources as known_sources

    configured = {source.name: source.type for source in load_configuration(context.config_path, os.environ).sources}
    async with connected(context, "sources") as connection:
        known = {row["name"]: row for row in await known_sources.list_all(connection)}
    rows: list[dict[str, Any]] = [
        {"name": name, "type": configured.get(name), "configured": name in configured, "state": "never run", **row}
        for name in sorted({*configured, *known})
        for row in (_present(known.get(name, {})),)
    ]
    shown = Table(_COLUMNS, [[row.get(name) for name in _COLUMNS] for row in rows])
    return Result([{name: row.get(name) for name in _COLUMNS} for row in rows], [shown])


def _present(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if value is not None}
    return {**shown, "error_message": mask_text(row["error_message"])} if shown.get("error_message") else shown
