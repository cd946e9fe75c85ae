"""What operators do to a source's history: replays that were planned, and backfills with how far they came."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import Integer, text
from sqlmodel import SQLModel

from kasparro.schemas.tables.columns import (
    digest_column,
    identity_column,
    json_column,
    number_column,
    one_of,
    reference_column,
    text_column,
    time_column,
)

PLAN_STATES = ("planned", "applying", "applied")
BACKFILL_STATES = ("open", "done", "given_up")


class ReplayPlanRow(SQLModel, table=True):
    """What a replay would do: `selection` (which raw rows), `findings` (counts, samples), the digest before."""

    __tablename__: ClassVar[Any] = "replay_plans"
    __table_args__: ClassVar[Any] = (one_of("state", PLAN_STATES, "replay_plans_state_check"),)
    id: int = identity_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    mapping_version: int = reference_column("mapping_versions.id", type_=Integer)
    selection: dict[str, Any] = json_column(nullable=False)
    digest: Decimal = digest_column(nullable=True)
    findings: dict[str, Any] = json_column(nullable=False)
    state: str = text_column(server_default=text("'planned'"))
    created_at: datetime = time_column(now=True)
    applied_at: datetime | None = time_column(nullable=True)


class BackfillRow(SQLModel, table=True):
    """A window of a source's past that is read in chunks; `done_until` is the end of the last finished chunk."""

    __tablename__: ClassVar[Any] = "backfills"
    __table_args__: ClassVar[Any] = (one_of("state", BACKFILL_STATES, "backfills_state_check"),)
    id: int = identity_column()
    source_id: int = reference_column("sources.id", type_=Integer)
    since: datetime = time_column()
    until: datetime = time_column()
    chunk_seconds: int = number_column()
    done_until: datetime = time_column()
    state: str = text_column(server_default=text("'open'"))
    created_at: datetime = time_column(now=True)
    finished_at: datetime | None = time_column(nullable=True)
