"""The `api` source: records of a REST API that answers JSON, page by page, resumable at any page."""

from kasparro.ingestion.sources.api.options import (
    ApiKeyAuth,
    ApiOptions,
    Auth,
    BasicAuth,
    BearerAuth,
    CursorPagination,
    Incremental,
    LinkHeaderPagination,
    NextUrlPagination,
    OffsetPagination,
    PagePagination,
    Pagination,
)
from kasparro.ingestion.sources.api.source import ApiSource

__all__ = [
    "ApiKeyAuth",
    "ApiOptions",
    "ApiSource",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "CursorPagination",
    "Incremental",
    "LinkHeaderPagination",
    "NextUrlPagination",
    "OffsetPagination",
    "PagePagination",
    "Pagination",
]
