"""Bodies of `/health` and what is under it: flat, for programs that only look at one field or the status."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body

HealthStatus = Literal["ok", "migrations_pending", "database_newer", "database_unknown", "unavailable"]


class PoolHealth(Body):
    """This process's connections to the database."""

    open: int
    idle: int = Field(description="Open, and lent to nobody.")
    limit: int = Field(description="How many may be open: `KASPARRO_API_CONNECTIONS`.")


class DatabaseHealth(Body):
    """Whether the database answers, and how fast; `error` is a code, never the driver's words."""

    reachable: bool
    latency_ms: float | None = None
    error: str | None = None
    pool: PoolHealth


class MigrationHealth(Body):
    """The schema's revision, and the one that this code needs."""

    current: str | None
    needed: str
    up_to_date: bool


class LastRun(Body):
    """The latest run of a source, whatever became of it."""

    id: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None


class DiskHealth(Body):
    """The file system that the embedded database is on."""

    state: Literal["ok", "low", "full", "unknown"] = Field(
        description="`low` under 2 GiB, `full` under 200 MiB; `unknown`: it does not answer."
    )
    free_bytes: int | None


class SourceHealth(Body):
    """A source that has been run at least once, or been registered."""

    name: str
    type: Literal["api", "csv", "rss"]
    last_success_at: datetime | None
    age_seconds: float = Field(description="Since the last success, else since the source became known.")
    stale_after_seconds: float | None = Field(description="From this age on it is stale; null: no scheduler reads it.")
    freshness: Literal["fresh", "stale", "unscheduled"]
    circuit_state: Literal["closed", "half_open", "open"] = Field(
        description="`open`: two runs or more in a row have failed; `half_open`: a run is trying it again."
    )
    last_run: LastRun | None


class HealthReport(Body):
    """`ok` comes with 200, everything else with 503; sources and disk change neither."""

    status: HealthStatus
    version: str
    database: DatabaseHealth
    migrations: MigrationHealth | None
    disk: DiskHealth | None = Field(
        description="Null where the database runs elsewhere, and for those who may not read."
    )
    warnings: list[str] = Field(description="What needs a look although requests are served, in plain words.")
    sources: list[SourceHealth] | None = Field(description="Null for those who may not read.")
    request_id: str


class Liveness(Body):
    """The process answers; nothing else was asked."""

    status: Literal["ok"]
    version: str
    request_id: str


class Readiness(Body):
    """Whether requests should be sent here: the database answers and its schema is current."""

    status: HealthStatus
    request_id: str
