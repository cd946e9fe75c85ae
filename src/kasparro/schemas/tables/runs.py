"""Sources, their runs, and where the next run goes on."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from kasparro.schemas.tables.columns import (
    bytes_column,
    counter_column,
    digest_column,
    identity_column,
    json_column,
    number_column,
    one_of,
    reference_column,
    text_column,
    time_column,
)

SOURCE_TYPES = ("api", "csv", "rss")
COVERAGES = ("full", "window", "none")
OPERATIONS = ("requeue", "replay", "backfill")
RUN_STATES = (
    "queued", "running", "succeeded", "partial", "failed", "systemic", "interrupted", "cancelled", "paused",
)  # fmt: skip

pass_ids = Sequence("pass_id_seq", data_type=BigInteger, metadata=SQLModel.metadata)
"""A pass is one complete reading of a source, by one run or by several when runs die."""


class SourceRow(SQLModel, table=True):
    """A configured source. `type` and `identity` (what makes its keys) stay as they are while it has data."""

    __tablename__: ClassVar[Any] = "sources"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("name", name="sources_name_key"),
        one_of("type", SOURCE_TYPES, "sources_type_check"),
    )
    id: int = identity_column(Integer)
    name: str = text_column()
    type: str = text_column()
    identity: dict[str, Any] = json_column(nullable=False)
    config_hash: str = text_column()
    digest: Decimal = digest_column()
    """Sum over closed runs; the digest now adds the deltas of batches not folded yet."""
    circuit_state: str = text_column(server_default=text("'closed'"))
    created_at: datetime = time_column(now=True)
    last_success_at: datetime | None = time_column(nullable=True)
    complete_at: datetime | None = time_column(nullable=True)
    """When the last reading began that came to its end: all that the source had then has been read."""
    interval_seconds: float | None = Field(default=None, sa_column=Column(Double, nullable=True))
    """The longest time between two due moments of its schedule; null where no scheduler reads it."""


class CheckpointRow(SQLModel, table=True):
    """Where a lane of a partition resumes; lane -1: what the last complete pass left behind.

    `scope` is empty for readings of the source; an operation, such as a replay, has checkpoints of its own.
    """

    __tablename__: ClassVar[Any] = "etl_checkpoints"
    __table_args__: ClassVar[Any] = (
        PrimaryKeyConstraint("source_id", "scope", "partition", "lane", name="etl_checkpoints_pkey"),
        one_of("coverage", COVERAGES, "etl_checkpoints_coverage_check"),
    )
    source_id: int = reference_column("sources.id", type_=Integer)
    partition: str = text_column()
    lane: int = Field(sa_column=Column(SmallInteger, nullable=False))
    pass_id: int = number_column()
    run_id: int = number_column()
    seq: int = number_column(default=0)
    ordinal: int = number_column(default=0)
    cursor: dict[str, Any] | None = json_column()
    coverage: str | None = text_column(nullable=True)
    scope: str = text_column(server_default=text("''"))
    updated_at: datetime = time_column(now=True)


class RunRow(SQLModel, table=True):
    """One run of one source; the sums are written when it is closed."""

    __tablename__: ClassVar[Any] = "etl_runs"
    __table_args__: ClassVar[Any] = (
        Index("etl_runs_source_id_id_idx", "source_id", "id"),
        Index("etl_runs_unfinished_idx", "source_id", postgresql_where=text("finished_at is null")),
        Index(
            "etl_runs_idempotency_key_idx", "source_id", "idempotency_key",
            unique=True, postgresql_where=text("idempotency_key is not null"),
        ),
        Index(
            "etl_runs_failures_idx", "source_id", "id", postgresql_where=text("state in ('failed', 'systemic')"),
        ),
        one_of("state", RUN_STATES, "etl_runs_state_check"),
        one_of("operation", OPERATIONS, "etl_runs_operation_check"),
    )  # fmt: skip
    id: int = identity_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    trigger: str = text_column()
    state: str = text_column()
    pass_id: int | None = number_column(nullable=True)
    resumes_run_id: int | None = reference_column("etl_runs.id", nullable=True)
    plan: dict[str, Any] | None = json_column()
    queued_at: datetime = time_column(now=True)
    started_at: datetime | None = time_column(nullable=True)
    finished_at: datetime | None = time_column(nullable=True)
    config_hash: str | None = text_column(nullable=True)
    mapping_version: int | None = reference_column("mapping_versions.id", nullable=True, type_=Integer)
    code_version: str | None = text_column(nullable=True)
    checkpoint_before: dict[str, Any] | None = json_column()
    checkpoint_after: dict[str, Any] | None = json_column()
    digest: Decimal | None = digest_column(nullable=True)
    error_code: str | None = text_column(nullable=True)
    error_message: str | None = text_column(nullable=True)
    batches: int = counter_column()
    fetched: int = counter_column()
    inserted: int = counter_column()
    updated: int = counter_column()
    unchanged: int = counter_column()
    duplicate: int = counter_column()
    rejected: int = counter_column()
    filtered: int = counter_column()
    deleted: int = counter_column()
    raw_written: int = counter_column()
    idempotency_key: str | None = text_column(nullable=True)
    """What a caller of `POST /runs` named its request, so that a second one answers with the first's run."""
    not_before: datetime | None = time_column(nullable=True)
    """When the source may be asked again, where its server said so: the scheduler begins no run of it earlier."""
    operation: str | None = text_column(nullable=True)
    """What it does other than reading its source on; None for an ordinary run."""
    gone: int = counter_column()
    """Records that a complete reading lacked; not among those that were fetched."""
    snapshot: str | None = text_column(nullable=True)
    """Whether the source was compared with a complete reading (`compared`), or why not; None where not asked."""
    size_bytes: int = counter_column()
    """Read by its batches, as they were counted; written when it is closed."""
    stage_seconds: dict[str, Any] | None = json_column()
    """Seconds spent in each stage, over all lanes; written when it is closed."""
    coverage: dict[str, Any] | None = json_column()
    """How much its pass has read of each partition that is done: `full, window, none`; written when it is closed."""
    last_raw_id: int | None = number_column(nullable=True)
    """The last number of any raw row when it was closed: those of its source that are greater came after it."""


class RunBatchRow(SQLModel, table=True):
    """One committed lane batch: what it counted, how long each stage took, which unified rows it saw."""

    __tablename__: ClassVar[Any] = "etl_run_batches"
    __table_args__: ClassVar[Any] = (
        PrimaryKeyConstraint("run_id", "partition", "lane", "seq", name="etl_run_batches_pkey"),
    )
    run_id: int = reference_column("etl_runs.id")
    partition: str = text_column()
    lane: int = Field(sa_column=Column(SmallInteger, nullable=False))
    seq: int = number_column()
    ordinal: int = number_column()
    """The last record of the pass that this lane has behind it."""
    fetched: int = counter_column()
    inserted: int = counter_column()
    updated: int = counter_column()
    updated_payload: int = counter_column()
    unchanged: int = counter_column()
    duplicate: int = counter_column()
    duplicate_payload: int = counter_column()
    rejected: int = counter_column()
    rejected_new: int = counter_column()
    filtered: int = counter_column()
    deleted: int = counter_column()
    raw_written: int = counter_column()
    size_bytes: int = counter_column()
    stage_seconds: dict[str, Any] | None = json_column()
    digest_delta: Decimal = digest_column()
    seen: bytes | None = bytes_column(nullable=True)
    """64-bit roaring bitmap of unified ids."""
    committed_at: datetime = time_column(now=True)


class MetricCounterRow(SQLModel, table=True):
    """A monotonic counter, so that a scrape reads rows and retention loses nothing."""

    __tablename__: ClassVar[Any] = "metric_counters"
    __table_args__: ClassVar[Any] = (PrimaryKeyConstraint("name", "source_id", "label", name="metric_counters_pkey"),)
    name: str = text_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    label: str = text_column()
    value: float = Field(sa_column=Column(Double, nullable=False, server_default=text("0")))


class WorkerRow(SQLModel, table=True):
    """A process that claims queued runs, and when it last asked for one. No lock depends on it."""

    __tablename__: ClassVar[Any] = "workers"
    name: str = Field(sa_column=Column(Text, primary_key=True))
    started_at: datetime = time_column(now=True)
    polled_at: datetime = time_column(now=True)
