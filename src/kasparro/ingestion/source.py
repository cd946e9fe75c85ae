"""The contract of a source: where its records come from, in which order, and where to go on after a crash.

A source is one thing to learn: `read` yields batches of raw records with the position behind them, and ends with a
final batch that carries none; `normalize` turns one payload into the fields of a unified record. A source knows
nothing of the database, of lanes or of counting.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from kasparro.schemas.batches import StandingRecords

Json = dict[str, Any]
Payload = dict[str, Any]
Coverage = Literal["full", "window", "none"]


@dataclass(frozen=True, slots=True)
class Defect:
    """Why a raw record cannot be normalized; becomes a row in `rejected_records`."""

    code: str
    message: str
    field: str | None = None


READER_CODES: Final = frozenset(
    (
        "bad_encoding", "duplicate_keys", "not_an_object", "nul_byte", "ragged_row", "record_too_large", "stray_quote",
        "unclosed_quote", "unfinished_row",
    )
)  # fmt: skip
"""Codes of defects that only a reader can tell: the payload that is stored does not show them."""

UNFINISHED_CODES: Final = ("unclosed_quote", "unfinished_row")
"""Those of records whose rest may not have been written yet: the next pass that reads on reads them again."""


class SourceRecord(NamedTuple):
    """One raw record: its payload as JSON values, and where it came from (`flights.csv:17`, `URL#3`).

    `defects` is what the reader already knows to be wrong (ragged row, bad encoding): such a record is stored raw and
    rejected. A payload that cannot be stored as jsonb at all is made by `unstorable()`.
    """

    payload: Payload
    locator: str
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in source order, and the cursor AFTER the last of them. May be empty (progress without records).

    `raw_ids`: of each record, the raw row that it stands in already, where records are such. `standing`: the unified
    rows that they made, in a replay.
    """

    records: Sequence[SourceRecord]
    cursor: Json
    size_bytes: int
    raw_ids: Sequence[int] | None = None
    standing: "StandingRecords | None" = None


@dataclass(frozen=True, slots=True)
class FinalBatch:
    """The end of a pass over one partition.

    `state` stands for the whole pass (file fingerprint, watermark, validators) and is what the next pass's `read`
    receives as `settled`. `coverage`: `full` when every record that exists was read, `window` when only what is new,
    `none` when nothing had to be read. `reread`: what earlier passes may have rejected by UNFINISHED_CODES was read
    again, so that such a reject stands only if this pass has made it anew.
    """

    state: Json
    coverage: Coverage
    reread: bool = False


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A batch closes at whichever comes first."""

    records: int = 20_000
    size_bytes: int = 8 * 1024 * 1024
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """Where a read begins: `settled` is the last complete pass's state, `cursor` a position inside an open pass.

    Both None: the very first pass, or `--full-refresh`.
    """

    settled: Json | None = None
    cursor: Json | None = None
    limits: BatchLimits = field(default_factory=BatchLimits)


class Source(Protocol):
    """What the pipeline knows of a source. Cursors and states are JSON objects that only their source understands."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> Literal["api", "csv", "rss"]: ...

    async def partitions(self) -> list[str]:
        """Names of the partitions, in reading order. Raises SourceError when there are none."""
        ...

    def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        """Yield batches in source order, then exactly one FinalBatch.

        The same input read from any yielded cursor gives exactly the records that followed it. Raises
        PassExpiredError when `start.cursor` does not fit the source any more, SourceError when it cannot be read.
        """
        ...

    def normalize(self, payload: Payload) -> dict[str, object]:
        """Candidate fields of a UnifiedRecord. Pure. Raises RecordRejected."""
        ...


@runtime_checkable
class ReadsDocuments(Protocol):
    """What a source has besides when each partition is one document, such as a feed, with no position inside.

    A failure ends the pass over such a partition, and fetching may run ahead of loading.
    """

    def reading_ahead(self, starts: Mapping[str, Start]) -> AbstractAsyncContextManager[None]:
        """While this is open, these partitions are read in this order, from these starts; nothing fetched stays on."""
        ...


class RecordRejected(Exception):
    """One record did not pass; carries every reason."""

    def __init__(self, *defects: Defect) -> None:
        super().__init__("; ".join(defect.message for defect in defects))
        self.defects = defects
