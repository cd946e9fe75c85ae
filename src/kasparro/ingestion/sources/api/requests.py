"""What is sent for a position: the URL with its parameters, and credentials for the source's own host alone."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kasparro.ingestion.sources.api.options import (
    ApiKeyAuth,
    ApiOptions,
    BasicAuth,
    BearerAuth,
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
)
from kasparro.ingestion.sources.api.position import Position
from kasparro.ingestion.sources.api.stamps import rewritten
from kasparro.ingestion.sources.api.urls import following_url, is_own_origin, with_params, without_params

_ACCEPT: Final = "application/json, */*;q=0.5"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A GET of `url` with `headers`; both may hold secrets."""

    url: str
    headers: Mapping[str, str]


def page_request(options: ApiOptions, position: Position) -> PageRequest:
    """The request for the page behind `position`."""
    if isinstance(options.pagination, NextUrlPagination | LinkHeaderPagination) and isinstance(position.at, str):
        if not is_own_origin(position.at, options.url):
            return PageRequest(position.at, {"Accept": _ACCEPT})
        return PageRequest(with_params(position.at, options.secret_params()), _headers(options))
    return PageRequest(with_params(options.url, _params(options, position)), _headers(options))


def stored_url(options: ApiOptions, link: str, page_url: str) -> str:
    """The next page's URL as a position keeps it: absolute, allowed, without secret parameters. Raises SourceError."""
    url = following_url(link, page_url, options.url, allow_other_hosts=options.allow_other_hosts)
    return without_params(url, options.secret_params())


def _params(options: ApiOptions, position: Position) -> dict[str, str]:
    params = {**options.params, **_window_params(options, position), **options.secret_params()}
    pagination = options.pagination
    if pagination is None:
        return params
    if pagination.size_param is not None:
        params[pagination.size_param] = str(pagination.size)
    if not isinstance(pagination, NextUrlPagination | LinkHeaderPagination) and position.at is not None:
        params[pagination.param] = str(position.at)
    return params


def _window_params(options: ApiOptions, position: Position) -> dict[str, str]:
    incremental = options.incremental
    if incremental is None:
        return {}
    ends = {incremental.param: position.since, incremental.until_param: position.until}
    wanted = incremental.param_format or incremental.format
    return {
        name: rewritten(value, incremental.format, wanted)
        for name, value in ends.items()
        if name is not None and value is not None
    }


def _headers(options: ApiOptions) -> dict[str, str]:
    headers = dict(options.headers)
    if "accept" not in map(str.lower, headers):
        headers["Accept"] = _ACCEPT
    auth = options.auth
    if isinstance(auth, ApiKeyAuth) and auth.header is not None:
        headers[auth.header] = auth.value
    elif isinstance(auth, BearerAuth):
        headers["Authorization"] = f"Bearer {auth.token}"
    elif isinstance(auth, BasicAuth):
        pair = f"{auth.user}:{auth.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def has_tokens(options: ApiOptions) -> bool:
    """Whether the server names the next page, and may have forgotten that name by the time it is asked for."""
    return isinstance(options.pagination, CursorPagination | NextUrlPagination | LinkHeaderPagination)
