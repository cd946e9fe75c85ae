"""A lane's share of a reader batch, encoded: what passes from transform to the store, whoever made it."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.core.canonical import HASH_SIZE

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

STAGE_SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("reject", pa.bool_(), nullable=False),
        pa.field("record_key", pa.string()),
        pa.field("payload", pa.string()),
        pa.field("content_hash", pa.binary()),
        pa.field("locator", pa.string()),
        pa.field("record_hash", pa.binary()),
        pa.field("title", pa.string()),
        pa.field("body", pa.string()),
        pa.field("url", pa.string()),
        pa.field("author", pa.string()),
        pa.field("category", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("value", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("occurred_at", pa.timestamp("us", tz="UTC")),
        pa.field("entity_key", pa.string()),
        pa.field("attributes", pa.string()),
        pa.field("version", pa.string()),
    ]
)
"""Columns of the stage, in order. `payload` and `attributes` are JSON text; `value` is a decimal's text, so that no
scale is imposed; of a rejected payload only the first six columns are set."""


OperationName = Literal["requeue", "replay", "backfill"]


@dataclass(frozen=True, slots=True)
class RunStamp:
    """What every row that a run writes has in common. `scope` is that of its checkpoints: empty for an ordinary run."""

    source_id: int
    source_type: Literal["api", "csv", "rss"]
    run_id: int
    pass_id: int
    mapping_version: int
    operation: OperationName | None = None
    scope: str = ""

    @property
    def from_raw(self) -> bool:
        """Whether it judges raw rows that stand already, and so writes none."""
        return self.operation in {"requeue", "replay"}


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the writer of a lane must find in its checkpoint to be allowed to write."""

    lane: int
    seq: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class RejectReason:
    """One reason why a payload did not pass, merged over its occurrences in the batch."""

    ordinal: int
    """Of the stage row that holds the payload: its first occurrence."""
    last_ordinal: int
    """Of its last occurrence in the batch."""
    code: str
    field: str | None
    message: str
    record_key: str | None
    content_hash: bytes
    locator: str
    times: int
    loads_later: bool
    """Whether an accepted record, or a tombstone, of the same key follows its last occurrence in the batch."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record by which the source says that what has its key is deleted. `ordinal` counts within the pass."""

    ordinal: int
    record_key: str
    payload_json: str
    content_hash: bytes
    locator: str
    version: str | None = None
    """None as well where it has none that can be read."""


@dataclass(frozen=True, slots=True)
class StoredShare:
    """Where the records of a LaneBatch come from, when they are raw rows that stand already."""

    raw_ids: Sequence[int]
    """Of each row of `rows`."""
    filtered_raw_ids: Sequence[int]
    tombstone_raw_ids: Sequence[int] = ()
    rejected_raw_ids: Sequence[int] = ()
    """Of all that are rejected now, those included whose payload another one has too."""


@dataclass(slots=True)
class StandingRecords:
    """Unified rows as they stand, as columns of the same length; `left_out`: a replay has deleted it."""

    ids: list[int] = field(default_factory=list[int])
    keys: list[str] = field(default_factory=list[str])
    raw_ids: list[int] = field(default_factory=list[int])
    content_hashes: list[bytes] = field(default_factory=list[bytes])
    record_hashes: list[bytes] = field(default_factory=list[bytes])
    mapping_versions: list[int] = field(default_factory=list[int])
    left_out: list[bool] = field(default_factory=list[bool])

    def take(self, places: Sequence[int]) -> "StandingRecords":
        """Some of them, in this order."""
        if len(places) == len(self.ids) and places == list(range(len(places))):
            return self
        return StandingRecords(*([column[place] for place in places] for column in self.columns()))

    def columns(self) -> tuple[list[Any], ...]:
        """In the order of the fields."""
        return (
            self.ids, self.keys, self.raw_ids, self.content_hashes, self.record_hashes, self.mapping_versions,
            self.left_out,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReplayedShare:
    """The records that a replay's LaneBatch may replace: of each accepted row, and of those that do not pass now."""

    accepted: StandingRecords
    rejected: StandingRecords
    filtered: StandingRecords
    tombstones: StandingRecords
    reject_ids: Mapping[bytes, int]
    """The raw rows of rejected payloads, by content hash."""


@dataclass(frozen=True, slots=True)
class LaneBatch:
    """What one lane writes in one transaction.

    `rows` follows STAGE_SCHEMA and holds the accepted records in the order of their ordinals, then one row for each
    distinct rejected payload.
    """

    partition: str
    lane: int
    ordinal: int
    """The last ordinal of the pass that this lane has behind it once the batch is committed."""
    cursor: dict[str, Any] | None
    fetched: int
    filtered: int
    rejected: int
    fetched_at: datetime
    rows: pa.RecordBatch
    reasons: Sequence[RejectReason] = ()
    filtered_keys: Sequence[str] = ()
    tombstones: Sequence[Tombstone] = ()
    """In the order of their ordinals."""
    size_bytes: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict[str, float])
    stored: StoredShare | None = None
    replayed: ReplayedShare | None = None

    @property
    def accepted(self) -> int:
        """How many of `rows`, from the first on, are accepted records."""
        return self.rows.num_rows - cast("Any", self.rows.column("reject")).true_count

    def ordinals(self) -> list[int]:
        """Of each row of `rows`."""
        return self.rows.column("ordinal").to_pylist()  # pyright: ignore[reportReturnType]

    def keys(self) -> list[str]:
        """Of each row of `rows`; only a reject's may be None."""
        return self.rows.column("record_key").to_pylist()  # pyright: ignore[reportReturnType]

    def accepted_keys(self) -> list[str]:
        """Of the accepted rows alone."""
        return self._accepted_keys().to_pylist()  # pyright: ignore[reportReturnType]

    def versions(self) -> list[str] | None:
        """Of the accepted rows; None where the source has no versions."""
        column = self.rows.column("version")
        return None if column.null_count == len(column) else column.slice(0, self.accepted).to_pylist()  # pyright: ignore[reportReturnType]

    def repeats_keys(self) -> bool:
        """Whether two accepted rows have the same key."""
        return pc.count_distinct(self._accepted_keys()).as_py() < self.accepted

    def content_hashes(self) -> list[bytes]:
        """Of each row of `rows`."""
        return self.rows.column("content_hash").to_pylist()  # pyright: ignore[reportReturnType]

    def record_hash_list(self) -> list[bytes]:
        """Of the accepted rows."""
        return self.rows.column("record_hash").slice(0, self.accepted).to_pylist()  # pyright: ignore[reportReturnType]

    def record_hashes(self, positions: Sequence[int] | None) -> bytes:
        """Of the accepted rows at these positions (None: of all rows, none of which is a reject), end to end."""
        hashes = self.rows.column("record_hash")
        return joined_hashes(hashes if positions is None else hashes.take(pa.array(positions, pa.int64())))

    def _accepted_keys(self) -> pa.Array:
        return self.rows.column("record_key").slice(0, self.accepted)


def joined_hashes(hashes: pa.Array) -> bytes:
    """Hashes of a binary column without nulls, one after another."""
    _, _, data = hashes.buffers()
    if data is None:
        return b""
    begin = hashes.offset * HASH_SIZE
    return data.to_pybytes()[begin : begin + len(hashes) * HASH_SIZE]
