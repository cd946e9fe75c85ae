"""The raw tables: every payload as it came, append-only, range-partitioned by month of `fetched_at`.

`services/raw_partitions.py` makes the partitions; a default partition catches what no month takes.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Integer, LargeBinary, PrimaryKeyConstraint, Sequence, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

raw_ids = Sequence("raw_id_seq", data_type=BigInteger, metadata=SQLModel.metadata)
"""Ids of raw rows, one sequence for the three tables, so that an id alone names a payload."""


def _raw_table(table: str) -> tuple[Any, ...]:
    return (
        PrimaryKeyConstraint("id", "fetched_at", name=f"{table}_pkey"),
        {"postgresql_partition_by": "RANGE (fetched_at)"},
    )


class RawColumns(SQLModel):
    """The columns of each raw table. `prev_raw_id` is the payload that the record's key had before this one."""

    id: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": raw_ids.next_value()}, nullable=False)
    source_id: int = Field(sa_type=Integer, nullable=False)
    run_id: int = Field(sa_type=BigInteger, nullable=False)
    record_key: str | None = Field(sa_type=Text, nullable=True)
    payload: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    content_hash: bytes = Field(sa_type=LargeBinary, nullable=False)
    locator: str = Field(sa_type=Text, nullable=False)
    prev_raw_id: int | None = Field(sa_type=BigInteger, nullable=True)
    fetched_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)  # pyright: ignore[reportArgumentType]


class RawApiRow(RawColumns, table=True):
    """A record's payload as an API gave it."""

    __tablename__: ClassVar[Any] = "raw_api_data"
    __table_args__: ClassVar[Any] = _raw_table("raw_api_data")


class RawCsvRow(RawColumns, table=True):
    """A record's payload as a CSV file gave it: column name to text."""

    __tablename__: ClassVar[Any] = "raw_csv_data"
    __table_args__: ClassVar[Any] = _raw_table("raw_csv_data")


class KeptPayloadRow(RawColumns, table=True):
    """A raw row that retention kept when it dropped its partition: a current record or an open reject points at it."""

    __tablename__: ClassVar[Any] = "kept_payloads"
    __table_args__: ClassVar[Any] = (PrimaryKeyConstraint("id"),)
    id: int = Field(sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}, nullable=False)


class RawRssRow(RawColumns, table=True):
    """A feed entry's payload, in kasparro's own entry schema."""

    __tablename__: ClassVar[Any] = "raw_rss_data"
    __table_args__: ClassVar[Any] = _raw_table("raw_rss_data")
