"""What is said of runs once they have ended: quality, anomalies, and what was told to whom."""

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
    counter_column,
    identity_column,
    json_column,
    number_column,
    one_of,
    reference_column,
    text_column,
    time_column,
)

QUALITY_LEVELS = ("warn", "fail")
ALERT_STATES = ("firing", "resolved")


class QualityResultRow(SQLModel, table=True):
    """What one quality check of a source said of its records at the end of a run."""

    __tablename__: ClassVar[Any] = "quality_results"
    __table_args__: ClassVar[Any] = (
        PrimaryKeyConstraint("run_id", "position", name="quality_results_pkey"),
        Index("quality_results_source_id_idx", "source_id", "run_id"),
        one_of("level", QUALITY_LEVELS, "quality_results_level_check"),
    )
    run_id: int = reference_column("etl_runs.id")
    position: int = number_column()
    """Of the check in the configuration, from 0 on."""
    source_id: int = reference_column("sources.id", type_=Integer)
    name: str = text_column()
    level: str = text_column()
    passed: bool = Field(sa_column=Column(Boolean, nullable=False))
    checked: int = counter_column()
    failed: int = counter_column()
    seen: str | None = text_column(nullable=True)
    """What a check of the source as a whole found: a number of records, or a time."""
    message: str = text_column()
    examples: list[dict[str, Any]] | None = json_column()
    definition: dict[str, Any] = json_column(nullable=False)
    fingerprint: str = text_column()
    created_at: datetime = time_column(now=True)


class RunAnomalyRow(SQLModel, table=True):
    """A measure of a run that is far from what the source's history lets expect."""

    __tablename__: ClassVar[Any] = "run_anomalies"
    __table_args__: ClassVar[Any] = (
        Index("run_anomalies_run_id_idx", "run_id"),
        Index("run_anomalies_source_id_idx", "source_id", "id"),
    )
    id: int = identity_column()
    run_id: int = reference_column("etl_runs.id")
    source_id: int = reference_column("sources.id", type_=Integer)
    measure: str = text_column()
    expected_low: float = Field(sa_column=Column(Double, nullable=False))
    expected_high: float = Field(sa_column=Column(Double, nullable=False))
    seen: float = Field(sa_column=Column(Double, nullable=False))
    score: float = Field(sa_column=Column(Double, nullable=False))
    message: str = text_column()
    created_at: datetime = time_column(now=True)


class AlertRow(SQLModel, table=True):
    """A state that somebody is told of when it begins and when it ends; `source_id` is null for the whole service."""

    __tablename__: ClassVar[Any] = "alerts"
    __table_args__: ClassVar[Any] = (
        Index(
            "alerts_firing_key", "source_id", "kind", "label",
            unique=True, postgresql_nulls_not_distinct=True, postgresql_where=text("state = 'firing'"),
        ),
        one_of("state", ALERT_STATES, "alerts_state_check"),
    )  # fmt: skip
    id: int = identity_column()
    source_id: int | None = reference_column("sources.id", nullable=True, type_=Integer)
    kind: str = text_column()
    label: str = text_column(server_default=text("''"))
    state: str = text_column()
    summary: str = text_column()
    detail: dict[str, Any] | None = json_column()
    run_id: int | None = number_column(nullable=True)
    since: datetime = time_column(now=True)
    resolved_at: datetime | None = time_column(nullable=True)


class AlertDeliveryRow(SQLModel, table=True):
    """One message to one hook: that an alert began (`firing`), or ended (`resolved`)."""

    __tablename__: ClassVar[Any] = "alert_deliveries"
    __table_args__: ClassVar[Any] = (
        Index(
            "alert_deliveries_due_idx", "next_at", postgresql_where=text("delivered_at is null and given_up_at is null")
        ),
        one_of("transition", ALERT_STATES, "alert_deliveries_transition_check"),
    )
    id: int = identity_column()
    alert_id: int = reference_column("alerts.id")
    hook: str = text_column()
    transition: str = text_column()
    attempts: int = counter_column()
    next_at: datetime = time_column(now=True)
    delivered_at: datetime | None = time_column(nullable=True)
    given_up_at: datetime | None = time_column(nullable=True)
    last_error: str | None = text_column(nullable=True)
    created_at: datetime = time_column(now=True)
