"""A database with kasparro's tables and a folder with one dataset, brought to the state that a step begins from."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench import floor
from bench.commands import run_once
from bench.datasets import Dataset

from kasparro.core.database import Connection, ConnectionOptions

RESET = "truncate sources, etl_runs, etl_checkpoints, unified_data, raw_api_data, raw_csv_data, raw_rss_data cascade"


@dataclass
class Ground:
    """Steps are timed on it, one after another; `state` says what our tables hold."""

    options: ConnectionOptions
    connection: Connection
    folder: Path
    dataset: Dataset
    rows: int
    concurrency: int | None
    state: Literal["empty", "loaded", "changed"] = "empty"
    exported: floor.Exported | None = None

    @property
    def file(self) -> Path:
        return self.folder / f"{self.dataset.name}.csv"

    @property
    def _kept(self) -> tuple[Path, Path]:
        return self.folder / "original", self.folder / "changed"

    async def prepare(self) -> None:
        """Write the file in both forms, empty our tables, make the floor's."""
        original, changed = self._kept
        self.dataset.write(self.folder, self.rows).rename(original)
        self.dataset.write_changed(original, changed)
        await self.reset()
        await floor.make_tables(self.connection)

    async def reset(self) -> None:
        """Nothing in any table."""
        self.use(changed=False)
        await self.connection.execute(RESET)
        self.state = "empty"

    def use(self, *, changed: bool) -> None:
        """Put the original or the changed file in the place that the configuration names."""
        self.file.unlink(missing_ok=True)
        os.link(self._kept[changed], self.file)

    async def run(self, *arguments: str) -> dict[str, Any]:
        """One `kasparro run`; its outcome."""
        lanes = () if self.concurrency is None else ("--concurrency", str(self.concurrency))
        outcome = await run_once(self.options, self.folder, *arguments, *lanes)
        if outcome["records"]["fetched"] != self.rows:
            raise RuntimeError(f"{outcome['records']['fetched']} rows read, {self.rows} expected")
        return outcome

    async def have_loaded(self) -> None:
        """Our tables hold the original file, as one first load leaves them."""
        if self.state == "changed":
            await self.reset()
        if self.state == "empty":
            await self.run()
            self.state = "loaded"

    async def finished_rows(self) -> floor.Exported:
        """What a first load has stored, in files."""
        if self.exported is None:
            await self.have_loaded()
            self.exported = await floor.export(self.connection, self.folder)
        return self.exported
