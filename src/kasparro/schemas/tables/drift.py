"""What a source's payloads look like, and how they changed."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from kasparro.schemas.tables.columns import (
    identity_column,
    json_column,
    number_column,
    one_of,
    reference_column,
    text_column,
    time_column,
)

DRIFT_STATES = ("open", "accepted", "rejected", "gone")
"""`gone`: it is not so any more; the source has healed, or the mapping does not use the field."""


class SourceShapeRow(SQLModel, table=True):
    """The shape of a source's payloads that was last accepted."""

    __tablename__: ClassVar[Any] = "source_shapes"
    __table_args__: ClassVar[Any] = (PrimaryKeyConstraint("source_id", name="source_shapes_pkey"),)
    source_id: int = reference_column("sources.id", type_=Integer)
    shape: dict[str, Any] = json_column(nullable=False)
    run_id: int | None = number_column(nullable=True)
    accepted_at: datetime = time_column(now=True)


class DriftEventRow(SQLModel, table=True):
    """One finding: how payloads differ from the accepted shape. While it is open, later runs renew it."""

    __tablename__: ClassVar[Any] = "schema_drift_events"
    __table_args__: ClassVar[Any] = (
        Index("schema_drift_events_source_id_id_idx", "source_id", "id"),
        Index(
            "schema_drift_events_open_key", "source_id", "kind", "field",
            unique=True, postgresql_where=text("state = 'open'"),
        ),
        one_of("state", DRIFT_STATES, "schema_drift_events_state_check"),
    )  # fmt: skip
    id: int = identity_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    run_id: int = reference_column("etl_runs.id")
    """Of the first run that found it."""
    kind: str = text_column()
    field: str = text_column()
    expected: dict[str, Any] | None = json_column()
    seen: dict[str, Any] | None = json_column()
    share: float = Field(sa_column=Column(Double, nullable=False))
    confidence: float = Field(sa_column=Column(Double, nullable=False))
    first_example: str | None = text_column(nullable=True)
    last_example: str | None = text_column(nullable=True)
    state: str = text_column(server_default=text("'open'"))
    created_at: datetime = time_column(now=True)
    parts: dict[str, Any] | None = json_column()
    """What the confidence is made of: name, type, values, timing."""
    mapped: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    policy: str = text_column(server_default=text("'warn'"))
    """What was done about it: `accept, warn, quarantine, fail`."""
    last_run_id: int | None = number_column(nullable=True)
    last_seen_at: datetime = time_column(now=True)
    closed_at: datetime | None = time_column(nullable=True)
    closed_by: str | None = text_column(nullable=True)
    reason: str | None = text_column(nullable=True)
    profile: dict[str, Any] | None = json_column()
    """What the last run has seen of the field, as a shape: accepting the finding puts it into the accepted shape."""
