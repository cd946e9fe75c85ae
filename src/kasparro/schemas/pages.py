"""What the API's bodies look like. The data page is written by PostgreSQL; these models document and check it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 2**63 - 1


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRecord(_Body):
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


class Page(_Body):
    """Where this page ends. `total` stays null with `total_kind` none: counting is never done unasked."""

    limit: int
    next_cursor: str | None
    has_more: bool
    total: int | None
    total_kind: Literal["exact", "planned", "estimated", "none"]


class DataPage(_Body):
    """Records in the order of their ids."""

    data: list[DataRecord]
    page: Page
    request_id: str
    api_latency_ms: float


class DatabaseHealth(_Body):
    """Whether the database answers, and how fast; `error` is a code, never the driver's words."""

    reachable: bool
    latency_ms: float | None = None
    error: str | None = None


class MigrationHealth(_Body):
    """The schema's revision, and the one that this code needs."""

    current: str | None
    needed: str
    up_to_date: bool


class LastRun(_Body):
    """The latest run of a source, whatever became of it."""

    id: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None


class SourceHealth(_Body):
    """A source that has been run at least once, or been registered."""

    name: str
    type: Literal["api", "csv", "rss"]
    last_success_at: datetime | None
    last_run: LastRun | None


class HealthReport(_Body):
    """`ok` comes with 200, everything else with 503."""

    status: Literal["ok", "migrations_pending", "database_newer", "database_unknown", "unavailable"]
    version: str
    database: DatabaseHealth
    migrations: MigrationHealth | None
    sources: list[SourceHealth]
    request_id: str


class ProblemDetail(_Body):
    """One thing that is wrong with a request."""

    parameter: str | None = None
    detail: str


class Problem(BaseModel):
    """RFC 9457 `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[ProblemDetail] = Field(default=[])
