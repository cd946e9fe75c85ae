"""CSV files as the tests of the `csv` source need them: written with a chosen time, read to the end."""

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, Json, SourceRecord, Start
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource

_ticks = itertools.count(1_700_000_000)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one read of one file gave."""

    batches: list[Batch]
    final: FinalBatch

    @property
    def records(self) -> list[SourceRecord]:
        return [record for batch in self.batches for record in batch.records]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [record.payload for record in self.records]

    @property
    def lines(self) -> list[int]:
        return [int(record.locator.rpartition(":")[2]) for record in self.records]

    @property
    def codes(self) -> dict[int, str]:
        """Line to code of every reject."""
        pairs = zip(self.lines, self.records, strict=True)
        return {line: record.defects[0].code for line, record in pairs if record.defects}


@dataclass
class CsvFile:
    """One file `rows.csv` in a folder of its own, and the source that reads it."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    name: str = "rows.csv"

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def source(self) -> CsvSource:
        return CsvSource(CsvOptions(name="rows", pattern=self.name, base_dir=self.folder, **self.options), dict)

    def write(self, content: bytes) -> "CsvFile":
        """Each writing gets a time of its own, however fast the test is."""
        self.path.write_bytes(content)
        return self.touch()

    def append(self, content: bytes) -> "CsvFile":
        with self.path.open("ab") as file:
            file.write(content)
        return self.touch()

    def touch(self) -> "CsvFile":
        seconds = next(_ticks)
        os.utime(self.path, (seconds, seconds))
        return self

    async def read(
        self, *, settled: Json | None = None, cursor: Json | None = None, limits: BatchLimits | None = None
    ) -> Reading:
        start = Start(settled=settled, cursor=cursor, limits=limits or BatchLimits())
        items = [item async for item in self.source.read(self.name, start)]
        batches = [item for item in items[:-1] if isinstance(item, Batch)]
        final = items[-1]
        assert isinstance(final, FinalBatch)
        assert len(batches) == len(items) - 1
        return Reading(batches, final)
