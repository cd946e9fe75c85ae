"""The `csv` source: each file is a partition, read in batches in a thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal, TypeVar

from kasparro.core.canonical import storable_text
from kasparro.core.errors import SourceError
from kasparro.ingestion.source import Batch, FinalBatch, Payload, Start
from kasparro.ingestion.sources.csv.detection import Detected
from kasparro.ingestion.sources.csv.files import matching_files
from kasparro.ingestion.sources.csv.opening import detect_file, open_file
from kasparro.ingestion.sources.csv.options import CsvOptions
from kasparro.ingestion.sources.csv.reader import CsvReader

_Result = TypeVar("_Result")


class CsvSource:
    """Implements the contract `Source` for delimited text; docs/decisions/0004-csv-reading.md has its rules."""

    def __init__(self, options: CsvOptions, normalizer: Callable[[Payload], dict[str, object]]) -> None:
        self._options = options
        self._normalizer = normalizer
        self._unnameable: frozenset[str] = frozenset()
        """Partitions whose file has a name that cannot be stored, by what they are called instead."""

    @property
    def name(self) -> str:
        return self._options.name

    @property
    def type(self) -> Literal["csv"]:
        return "csv"

    async def partitions(self) -> list[str]:
        """The files, as POSIX paths relative to `base_dir`, sorted. Raises SourceError when none matches.

        A file whose name is no UTF-8 text is called by that name with escapes, and cannot be read.
        """
        found = await _in_thread(lambda: matching_files(self._options.pattern, self._options.base_dir))
        if not found:
            raise SourceError(
                f"source {self.name}: no file matches {self._options.pattern!r} in {self._options.base_dir}"
            )
        self._unnameable = frozenset(storable_text(name) for name in found if storable_text(name) != name)
        return sorted({storable_text(name) for name in found})

    async def detected(self, partition: str) -> Detected | None:
        """How the file is written (`str()` it for people); None when it holds nothing yet."""
        return await _in_thread(lambda: detect_file(self._path(partition), partition, self._options))

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        """See the contract. A file that is as `start.settled` left it costs one stat."""
        opening = await _in_thread(lambda: open_file(self._path(partition), partition, self._options, start))
        if isinstance(opening, FinalBatch):
            yield opening
            return
        reader = CsvReader(opening, self._options, partition, start.limits)
        try:
            while (batch := await _in_thread(reader.next_batch)) is not None:
                yield batch
            yield await _in_thread(reader.final)
        finally:
            reader.close()

    def normalize(self, payload: Payload) -> dict[str, object]:
        return self._normalizer(payload)

    def _path(self, partition: str) -> Path:
        """Raises SourceError for a file that has no name to keep its position under."""
        if partition in self._unnameable:
            raise SourceError(f"{partition}: the name of the file is not UTF-8 text", hint="rename it")
        return self._options.base_dir / partition


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    """The one place where this source blocks. When cancelled, it waits for the thread, which still uses the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
