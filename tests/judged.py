"""A CSV source with quality checks: rows are written, loaded and judged."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kasparro.core.database import ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import AnySourceConfig, parse_configuration
from kasparro.schemas.quality import QualityResult

COLUMNS: tuple[str, ...] = ("id", "name", "price", "kind", "url", "at", "label", "size", "gone")
MAP = "{title: name, value: price, category: kind, url: url, occurred_at: at, tags: [label], attributes: {size: size}}"


@dataclass
class Judged:
    """The source `judged`, a file in `folder`; `checks` and `more` are settings in YAML, on one line."""

    folder: Path
    options: ConnectionOptions
    checks: str = ""
    more: str = "timezone: UTC"
    name: str = "judged"
    batch_records: int = 1000

    def write(self, *rows: dict[str, Any]) -> None:
        """Each row by its columns; what is missing is empty, and the key counts from 1."""
        with (self.folder / "judged.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows({"id": f"k{number}", **row} for number, row in enumerate(rows, 1))

    def config(self) -> AnySourceConfig:
        deletes = "deletes: {tombstone: \"gone == 'yes'\"}"
        own = f"name: {self.name}, type: csv, path: judged.csv, key: id, map: {MAP}, {deletes}, {self.more}"
        text = f"sources:\n  - {{{own}, checks: [{self.checks}]}}\n"
        return parse_configuration(text, {}).sources[0]

    def job(self) -> SourceJob:
        return build_job(self.config(), self.folder)

    async def run(self, **given: Any) -> RunOutcome:
        request, faults = Request(**given.pop("request", {})), given.pop("faults", None) or Faults()
        limits = BatchLimits(records=self.batch_records)
        return await run_source(self.job(), request, Conditions(self.options, limits=limits, faults=faults, **given))

    async def judge(self, *checks: str) -> list[QualityResult]:
        """What these checks say of the rows, after a run."""
        self.checks = ", ".join(f"{{{check}}}" for check in checks)
        return list((await self.run()).quality)
