"""What the API's bodies look like, one module for each family of routes."""

from kasparro.schemas.pages.base import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET, Body, Page
from kasparro.schemas.pages.data import DataItem, DataPage, DataRecord, RawItem, RawPayload
from kasparro.schemas.pages.health import DatabaseHealth, HealthReport, LastRun, MigrationHealth, SourceHealth
from kasparro.schemas.pages.problem import Problem, ProblemDetail

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "MAX_OFFSET",
    "Body",
    "DataItem",
    "DataPage",
    "DataRecord",
    "DatabaseHealth",
    "HealthReport",
    "LastRun",
    "MigrationHealth",
    "Page",
    "Problem",
    "ProblemDetail",
    "RawItem",
    "RawPayload",
    "SourceHealth",
]
