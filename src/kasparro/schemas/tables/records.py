"""What records become: their current state, the rejected ones, and the mappings that made them."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    Column,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from kasparro.schemas.tables.columns import (
    bytes_column,
    identity_column,
    json_column,
    number_column,
    one_of,
    reference_column,
    text_column,
    time_column,
)

REJECT_STATES = ("open", "requeued", "resolved", "dropped")


class UnifiedRow(SQLModel, table=True):
    """A record's current normalized state; `schemas/unified.py` says what is valid."""

    __tablename__: ClassVar[Any] = "unified_data"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("source_id", "record_key", name="unified_data_source_id_record_key_key"),
        Index("unified_data_occurred_at_id_idx", "occurred_at", "id"),
        Index("unified_data_entity_key_idx", "entity_key", postgresql_where=text("entity_key is not null")),
    )
    id: int = identity_column()
    source_id: int = Field(sa_column=Column(Integer, nullable=False))
    record_key: str = text_column()
    title: str | None = text_column(nullable=True)
    body: str | None = text_column(nullable=True)
    url: str | None = text_column(nullable=True)
    author: str | None = text_column(nullable=True)
    category: str | None = text_column(nullable=True)
    tags: list[str] | None = Field(sa_column=Column(ARRAY(Text), nullable=True))
    value: Decimal | None = Field(sa_column=Column(Numeric, nullable=True))
    unit: str | None = text_column(nullable=True)
    occurred_at: datetime | None = time_column(nullable=True)
    entity_key: str | None = text_column(nullable=True)
    attributes: dict[str, Any] | None = json_column()
    content_hash: bytes = bytes_column()
    record_hash: bytes = bytes_column()
    raw_id: int = number_column()
    run_id: int = number_column()
    pass_id: int = number_column()
    mapping_version: int = Field(sa_column=Column(Integer, nullable=False))
    version: str | None = text_column(nullable=True)
    first_seen_at: datetime = time_column()
    last_changed_at: datetime = time_column()
    deleted_at: datetime | None = time_column(nullable=True)
    deletion: str | None = text_column(nullable=True)
    """Why it is deleted: `tombstone` (the source said so), `gone` (not in a snapshot), `replay` (mapped no more)."""


class RejectedRow(SQLModel, table=True):
    """A raw record that did not pass, and why; one row for each reason."""

    __tablename__: ClassVar[Any] = "rejected_records"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint(
            "source_id", "content_hash", "code", "field",
            name="rejected_records_reason_key", postgresql_nulls_not_distinct=True,
        ),
        Index(
            "rejected_records_open_key_idx", "source_id", "record_key",
            postgresql_where=text("state = 'open' and record_key is not null"),
        ),
        one_of("state", REJECT_STATES, "rejected_records_state_check"),
    )  # fmt: skip
    id: int = identity_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    run_id: int = number_column()
    code: str = text_column()
    field: str | None = text_column(nullable=True)
    message: str = text_column()
    record_key: str | None = text_column(nullable=True)
    content_hash: bytes = bytes_column()
    raw_id: int = number_column()
    locator: str = text_column()
    first_seen_at: datetime = time_column()
    last_seen_at: datetime = time_column()
    last_ordinal: int = number_column(default=0)
    """Of its last occurrence in the batch that was stored at `last_seen_at`: the order of what was seen at once."""
    times: int = number_column(default=1)
    state: str = text_column(server_default=text("'open'"))
    resolved_at: datetime | None = time_column(nullable=True)
    resolution: str | None = text_column(nullable=True)


class MappingVersionRow(SQLModel, table=True):
    """A mapping's canonical text; its id is stamped on unified rows."""

    __tablename__: ClassVar[Any] = "mapping_versions"
    __table_args__: ClassVar[Any] = (UniqueConstraint("hash", name="mapping_versions_hash_key"),)
    id: int = identity_column(Integer)
    hash: str = text_column()
    mapping: dict[str, Any] = json_column(nullable=False)
    created_at: datetime = time_column(now=True)
