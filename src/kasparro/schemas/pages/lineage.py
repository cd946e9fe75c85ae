"""Body of `/data/{id}/lineage`. Numbers in payloads are written as they came, so it is put together as text."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body, Page
from kasparro.schemas.pages.data import DataRecord
from kasparro.schemas.pages.rejects import RejectState
from kasparro.schemas.pages.runs import RunState


class LineageRecord(DataRecord):
    """A record's current state, also when it is deleted."""

    version: str | None = Field(description="What says which of two states is the newer one, where that is configured.")
    mapping_version: int
    deletion: str | None = Field(
        description="Why it is deleted: `tombstone` (the source said so), `gone` (it was in no complete reading any "
        "more), `replay` (today's mapping would not have made it)."
    )
    deleted_at: datetime | None


class LineageMapping(Body):
    """The mapping that made the record of its payload."""

    id: int
    hash: str
    text: dict[str, Any] = Field(description="As it is configured; variables by their names.")
    created_at: datetime


class LineageRun(Body):
    """A run; `/runs/{id}` tells more."""

    id: int
    state: RunState
    trigger: str
    operation: str | None = Field(description="`requeue`, `replay` or `backfill`; null for a reading of the source.")
    started_at: datetime | None
    finished_at: datetime | None


class LineageBatch(Body):
    """A batch of a run."""

    partition: str = Field(description="Such as a file or the address of a feed.")
    lane: int
    seq: int
    ordinal: int = Field(description="The last record of the reading that it left behind.")
    committed_at: datetime


class PayloadChange(Body):
    """A place at which a payload differs from the one before it."""

    pointer: str = Field(description="A JSON Pointer (RFC 6901), such as `/quotes/0/price`.")
    change: Literal["added", "removed", "changed"]
    before: Any
    after: Any


class LineagePayload(Body):
    """A payload that the record had, and how it came."""

    id: int = Field(description="Of `/raw/{id}`.")
    record_key: str | None
    locator: str
    fetched_at: datetime
    kept: bool = Field(description="Retention has dropped the others of its month, and kept this one.")
    prev_raw_id: int | None
    payload: Any
    run: LineageRun | None
    batch: LineageBatch | None = Field(description="Null where it cannot be told any more.")
    changes: list[PayloadChange] | None = Field(
        description="Against the payload before it; null where there is none, or it was dropped."
    )
    more_changes: bool = Field(description="There are more than those 200.")


class LineageReject(Body):
    """A payload of the record's key that did not pass."""

    id: int
    code: str
    field: str | None
    message: str
    state: RejectState
    resolution: str | None
    times: int
    raw_id: int
    run_id: int
    locator: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None


class Lineage(Body):
    """Where a record comes from. Of its payloads, the first of the first page is the one that it is made from now."""

    record: LineageRecord
    mapping: LineageMapping | None
    run: LineageRun | None = Field(description="The run that wrote the record last.")
    payloads: list[LineagePayload] = Field(description="Newest first.")
    history: Literal["complete", "dropped", "more"] = Field(
        description="`complete`: the last one shown is the first there was. `dropped`: retention has dropped those "
        "before it, from `dropped_raw_id` on. `more`: the next page goes on."
    )
    dropped_raw_id: int | None
    rejects: list[LineageReject] = Field(description="Of the same key, newest first, 100 at most.")


class LineageAnswer(Body):
    """A record's lineage."""

    data: Lineage
    page: Page
    request_id: str
    api_latency_ms: float
