"""Bodies of `/data`. The page is written by PostgreSQL; these models document and check it."""

from datetime import datetime
from typing import Any, Literal

from kasparro.schemas.pages.base import Body, Page


class DataRecord(Body):
    """A record's current state. `value` is an exact decimal as a string; times are RFC 3339 in UTC."""

    id: int
    source: str
    source_type: Literal["api", "csv", "rss"]
    record_key: str
    title: str | None
    body: str | None
    url: str | None
    author: str | None
    category: str | None
    tags: list[str]
    value: str | None
    unit: str | None
    occurred_at: datetime | None
    entity_key: str | None
    attributes: dict[str, Any]
    raw_id: int
    run_id: int
    first_seen_at: datetime
    last_changed_at: datetime


class DataPage(Body):
    """A page of records. With `fields`, each has only those; values inside `attributes` stand under their path."""

    data: list[DataRecord | dict[str, Any]]
    page: Page
    request_id: str
    api_latency_ms: float


class DataItem(Body):
    """One record."""

    data: DataRecord
    request_id: str
    api_latency_ms: float


class RawPayload(Body):
    """A payload as it came. `locator` says where it stood; `prev_raw_id` is what its key had before it.

    What cannot be stored as JSON is kept as `{"_unstorable": "<base64>"}`.
    """

    id: int
    source: str
    source_type: Literal["api", "csv", "rss"]
    record_key: str | None
    locator: str
    fetched_at: datetime
    run_id: int
    prev_raw_id: int | None
    payload: Any


class RawItem(Body):
    """One payload."""

    data: RawPayload
    request_id: str
    api_latency_ms: float
