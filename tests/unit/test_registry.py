"""What is configured reaches the sources and the HTTP client's policy."""

from datetime import timedelta
from pathlib import Path

import pytest

from kasparro.core.errors import ConfigurationError
from kasparro.ingestion.http.contract import HttpPolicy
from kasparro.ingestion.registry import (
    api_options,
    build_source,
    check_settings,
    http_policy,
    needs_http,
    rss_options,
)
from kasparro.ingestion.sources import api
from kasparro.schemas.configuration import ApiSourceConfig, RssSourceConfig, parse_configuration

API = "name: a, type: api, url: https://x.org/items, key: id, map: {title: t}"


def api_source(rest: str = "", **environ: str) -> ApiSourceConfig:
    source = parse_configuration(f"sources: [{{{API}{rest}}}]", environ).sources[0]
    assert isinstance(source, ApiSourceConfig)
    return source


def test_manners_become_the_clients_policy() -> None:
    source = api_source(
        ", rate_limit: {requests: 3, per: 1m}, retry: {attempts: 2, within: 10s}, timeout: 4s, connect_timeout: 5s,"
        " total_timeout: 6s, max_body: 7KB, allow_private: true, headers: {A: b},"
        " auth: {type: bearer, token: '${T}'}",
        T="hunter2!",
    )
    assert http_policy(source) == HttpPolicy(
        requests=3,
        per_seconds=60,
        attempts=2,
        total_seconds=10,
        read_seconds=4,
        connect_seconds=5,
        attempt_seconds=6,
        max_body_bytes=7000,
        allow_private=True,
        secrets=("hunter2!",),
    )
    assert api_options(source).headers == {"A": "b"}
    assert http_policy(api_source()) == HttpPolicy()


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        ("{type: api_key, header: X-K, value: hunter2!}", api.ApiKeyAuth("hunter2!", header="X-K")),
        ("{type: api_key, query: k, value: hunter2!}", api.ApiKeyAuth("hunter2!", query="k")),
        ("{type: bearer, token: hunter2!}", api.BearerAuth("hunter2!")),
        ("{type: basic, user: u, password: hunter2!}", api.BasicAuth("u", "hunter2!")),
    ],
)
def test_authentication_reaches_the_source(written: str, auth: api.Auth) -> None:
    assert api_options(api_source(f", auth: {written}")).auth == auth


@pytest.mark.parametrize(
    ("written", "pagination"),
    [
        ("{type: page}", api.PagePagination()),
        ("{type: page, param: p, start: 0, size_param: n, size: 3}", api.PagePagination("p", 0, "n", 3)),
        ("{type: offset, size_param: n, size: 3}", api.OffsetPagination("offset", 0, "n", 3)),
        ("{type: cursor, next: m.n, param: c}", api.CursorPagination("m.n", "c")),
        ("{type: next_url, next: n}", api.NextUrlPagination("n")),
        ("{type: link_header}", api.LinkHeaderPagination()),
    ],
)
def test_pagination_reaches_the_source(written: str, pagination: api.Pagination) -> None:
    assert api_options(api_source(f", pagination: {written}")).pagination == pagination


def test_the_rest_of_an_api_reaches_the_source() -> None:
    incremental = "{field: u, param: since, format: epoch_s, lookback: 1m, until_param: till, initial: '5'}"
    options = api_options(
        api_source(f", params: {{a: b}}, records: d.i, incremental: {incremental}, end_statuses: [404], max_pages: 9,"
                   " allow_other_hosts: true")
    )  # fmt: skip
    assert options == api.ApiOptions(
        name="a",
        url="https://x.org/items",
        params={"a": "b"},
        records="d.i",
        incremental=api.Incremental("u", "since", "epoch_s", timedelta(minutes=1), "till", "5"),
        end_statuses=frozenset({404}),
        max_pages=9,
        allow_other_hosts=True,
    )


def test_feeds_reach_the_source_and_secrets_stay_out_of_their_names() -> None:
    urls = "['https://x.org/${A_TOKEN}', https://y.org/]"
    text = f"sources: [{{name: n, type: rss, urls: {urls}, identity: link, headers: {{A: b}}}}]"
    source = parse_configuration(text, {"A_TOKEN": "hunter2!"}).sources[0]
    assert isinstance(source, RssSourceConfig)
    options = rss_options(source)
    assert http_policy(source).headers == {"A": "b"}
    assert (options.urls, options.identity) == (("https://x.org/hunter2!", "https://y.org/"), "link")
    assert list(options.partitions()) == ["https://x.org/***", "https://y.org/"]


def test_two_feeds_that_differ_by_a_secret_alone_are_refused() -> None:
    text = "sources: [{name: n, type: rss, urls: ['https://x.org/${A_TOKEN}', 'https://x.org/${B_TOKEN}']}]"
    source = parse_configuration(text, {"A_TOKEN": "hunter2!", "B_TOKEN": "hunter3!"}).sources[0]
    with pytest.raises(ConfigurationError, match=r"is listed twice"):
        check_settings(source, Path())


def test_a_source_over_http_needs_a_client() -> None:
    assert needs_http(api_source())
    with pytest.raises(TypeError, match="source a is read over HTTP: build_source needs fetchers"):
        build_source(api_source(), Path())
