"""`kasparro sources`: what is configured, and how each source fared last."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.masking import mask_text

if TYPE_CHECKING:
    from kasparro.services.mappings import LiveMapping

_COLUMNS = (
    "name", "type", "configured", "state", "run_id", "finished_at", "last_success_at", "mappings", "error_message",
)  # fmt: skip


@command(example="kasparro sources")
async def sources(context: Context) -> Result:
    """List the configured sources and those that the database remembers, each with its latest run.

    `mappings`: the versions of its mapping that have live records, with their number; `~` where it is estimated.
    """
    from kasparro.schemas.configuration import load_configuration
    from kasparro.services import mappings
    from kasparro.services import sources as known_sources

    configured = {source.name: source.type for source in load_configuration(context.config_path, os.environ).sources}
    async with connected(context, "sources") as connection:
        known = {row["name"]: row for row in await known_sources.list_all(connection)}
        live = {name: await mappings.live(connection, row["source_id"]) for name, row in known.items()}
    rows: list[dict[str, Any]] = [
        {"name": name, "type": configured.get(name), "configured": name in configured, "state": "never run", **row}
        for name in sorted({*configured, *known})
        for row in (_present(known.get(name, {})),)
    ]
    data: list[dict[str, Any]] = [
        {**{name: row.get(name) for name in _COLUMNS}, "mappings": live.get(row["name"], [])} for row in rows
    ]
    shown = [[_mappings(row["mappings"]) if name == "mappings" else row[name] for name in _COLUMNS] for row in data]
    as_data = [{**row, "mappings": [asdict(each) for each in row["mappings"]]} for row in data]
    return Result(as_data, [Table(_COLUMNS, shown)])


def _mappings(live: "list[LiveMapping]") -> str:
    """Such as `2: 1,200, 3: 40`."""
    return ", ".join(f"{each.id}: {'~' * (each.records_kind == 'estimated')}{each.records:,}" for each in live)


def _present(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if value is not None}
    return {**shown, "error_message": mask_text(row["error_message"])} if shown.get("error_message") else shown
