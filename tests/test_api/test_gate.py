"""What stands before and around every route: limits, sizes, hosts, origins, headers, and the line in the log."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
import structlog

from kasparro.api.app import create_app
from kasparro.api.authentication import KeyRing
from kasparro.api.options import ApiOptions, options_from
from kasparro.core.database import Connection, Pool
from kasparro.core.log_lines import direct_lines_to
from kasparro.core.logging import configure_logging
from kasparro.core.settings import load_settings
from tests.test_api.test_access import UNKNOWN, bearer, client_of, made

PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
Served = Callable[[ApiOptions], httpx.AsyncClient]


@pytest.fixture
async def served(pool: Pool) -> AsyncIterator[Served]:
    """Clients of applications with other options."""
    clients: list[httpx.AsyncClient] = []

    def serve(options: ApiOptions) -> httpx.AsyncClient:
        clients.append(client_of(create_app(pool, options)))
        return clients[-1]

    yield serve
    for client in clients:
        await client.aclose()


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines logged since, read from JSON line by line; everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("kasparro")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    for handler in handlers:
        root.removeHandler(handler)
    stream = io.StringIO()
    configure_logging("INFO", service="test", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()
    direct_lines_to(None, stamp={})


async def test_an_address_and_a_key_each_have_their_own_minute(served: Served, connection: Connection) -> None:
    options = ApiOptions(requests_per_minute=3, trusted_proxies=(ip_network("127.0.0.1"),))
    client, key = served(options), await made(connection, "read")
    assert (await client.get("/data", headers=bearer(key))).headers["ratelimit"].startswith('"requests";r=2;t=')
    for remaining in (2, 1, 0):
        response = await client.get("/data")
        assert response.headers["ratelimit-policy"] == '"requests";q=3;w=60'
        assert response.headers["ratelimit"].startswith(f'"requests";r={remaining};t=')
    for path in ("/data", "/nowhere", "/docs", "/health"):
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert (await client.get("/data", headers={"X-Forwarded-For": "198.51.100.7"})).status_code == 200
    assert (await client.get("/data", headers=bearer(key))).status_code == 200
    for path in ("/health/live", "/health/ready"):
        probed = await client.get(path)
        assert (probed.status_code, "ratelimit" in probed.headers) == (200, False)


async def test_without_a_limit_nothing_is_said_of_one(served: Served) -> None:
    response = await served(ApiOptions(requests_per_minute=0)).get("/data")
    assert (response.status_code, "ratelimit" in response.headers) == (200, False)


async def test_bad_keys_are_limited_more_strictly_and_cost_the_database_little(
    served: Served, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    check = KeyRing.check

    async def counted(ring: KeyRing, key: Any) -> Any:
        asked.append(key.id)
        return await check(ring, key)

    monkeypatch.setattr(KeyRing, "check", counted)
    client, key = served(ApiOptions(requests_per_minute=0)), await made(connection, "read")
    assert (await client.get("/data", headers=bearer(key))).status_code == 200
    statuses = [(await client.get("/data", headers=bearer(UNKNOWN))).status_code for _ in range(62)]
    assert statuses == [401] * 60 + [429] * 2
    assert len(asked) == 61
    malformed = await client.get("/data", headers=bearer("nonsense"))
    assert (malformed.status_code, malformed.headers["ratelimit-policy"]) == (429, '"bad-keys";q=60;w=60')
    assert (await client.get("/data", headers=bearer(key))).status_code == 200
    assert (await client.get("/data")).status_code == 200


async def test_the_requests_of_an_address_are_counted_before_its_keys_are_looked_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_ring: KeyRing, _key: Any) -> Any:
        raise AssertionError

    client = served(ApiOptions(requests_per_minute=1))
    await client.get("/data")
    monkeypatch.setattr(KeyRing, "check", never)
    assert (await client.get("/data", headers=bearer(UNKNOWN))).status_code == 429


async def test_every_answer_has_the_headers_that_browsers_obey(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/data"), ("HEAD", "/data"), ("GET", "/health"), ("GET", "/health/live"), ("GET", "/nowhere"),
        ("PUT", "/data"), ("GET", "/data?limit=0"), ("POST", "/runs"), ("GET", "/openapi.json"), ("GET", "/metrics"),
        ("GET", "/data?a=" + "x" * 9000),
    ):  # fmt: skip
        headers = (await client.request(method, path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["server-timing"].startswith("total;dur=")
        assert "cache-control" in headers
        assert "strict-transport-security" not in headers
        assert headers["x-request-id"]


async def test_what_has_a_tag_is_checked_each_time_and_the_rest_is_not_kept(
    client: httpx.AsyncClient, records: None
) -> None:
    del records
    page = await client.get("/data")
    assert (page.headers["cache-control"], page.headers["etag"][:2]) == ("private, no-cache", "W/")
    assert (await client.get("/nowhere")).headers["cache-control"] == "no-store"
    assert (await client.get("/health")).headers["cache-control"] == "no-store"


async def test_time_spent_on_the_database_is_told(client: httpx.AsyncClient) -> None:
    timing = (await client.get("/data")).headers["server-timing"]
    total, database = (float(part.split("=")[1]) for part in timing.split(", "))
    assert 0 < database < total
    assert (await client.get("/nowhere")).headers["server-timing"].endswith("db;dur=0.000")


async def test_other_names_for_this_machine_are_refused_where_only_it_may_read(served: Served) -> None:
    client = served(ApiOptions(local_names_only=True))
    for host, status in (
        ("127.0.0.1:8000", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8000", 200), ("127.8.8.8", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421), ("10.0.0.1", 421),
        ("evil@localhost", 421), ("", 421),
    ):  # fmt: skip
        response = await client.get("/data", headers={"Host": host})
        assert (host, response.status_code) == (host, status)
        assert (await client.get("/health/live", headers={"Host": host})).status_code == 200
    assert (await served(ApiOptions()).get("/data", headers={"Host": "evil.example"})).status_code == 200


async def test_only_listed_names_are_answered(served: Served) -> None:
    """As in the containers, where reading is open by a decision; a list also narrows what loopback would allow."""
    settings = load_settings(
        {"KASPARRO_READ_KEY_REQUIRED": "false", "KASPARRO_ALLOWED_HOSTS": "localhost, API.example,[::1]"}
    )
    client = served(options_from(settings, "0.0.0.0"))
    for host, status in (
        ("localhost:8000", 200), ("LocalHost", 200), ("api.example:80", 200), ("[::1]:8000", 200), ("127.0.0.1", 421),
        ("evil.example:8000", 421), ("api.example.evil.example", 421), ("evil@localhost", 421), ("localhost:", 421),
        ("", 421),
    ):  # fmt: skip
        response = await client.get("/data", headers={"Host": host})
        assert (host, response.status_code) == (host, status)
        assert (await client.get("/health/ready", headers={"Host": host})).status_code == 200


async def test_a_star_lets_any_name_in(served: Served) -> None:
    client = served(options_from(load_settings({"KASPARRO_ALLOWED_HOSTS": "*"}), "127.0.0.1"))
    assert (await client.get("/data", headers={"Host": "anything.example"})).status_code == 200


async def test_pages_elsewhere_read_nothing_by_default(client: httpx.AsyncClient) -> None:
    response = await client.get("/data", headers={"Origin": "https://app.example.org"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = await client.options("/data", headers={"Origin": "https://app.example.org", **PREFLIGHT})
    assert (preflight.status_code, preflight.headers["allow"]) == (405, "HEAD, GET")


async def test_pages_of_listed_origins_may_read(served: Served) -> None:
    client = served(ApiOptions(cors_origins=("https://app.example.org",), read_key_required=True))
    preflight = await client.options("/data", headers={"Origin": "https://app.example.org", **PREFLIGHT})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers
    refused = await client.get("/data", headers={"Origin": "https://app.example.org"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://app.example.org")
    assert "RateLimit" in refused.headers["access-control-expose-headers"]
    for origin in ("https://evil.example", "https://app.example.org.evil.example", "http://app.example.org", "null"):
        preflight = await client.options("/data", headers={"Origin": origin, **PREFLIGHT})
        assert (preflight.status_code, "access-control-allow-origin" in preflight.headers) == (400, False)
        assert "access-control-allow-origin" not in (await client.get("/data", headers={"Origin": origin})).headers


async def test_a_wrong_method_is_told_all_that_the_path_knows(client: httpx.AsyncClient) -> None:
    for method, path, allowed in (("PUT", "/runs", "HEAD, GET, POST"), ("POST", "/data", "HEAD, GET")):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)


async def test_the_log_says_who_asked_and_in_which_trace(
    client: httpx.AsyncClient, connection: Connection, log: Callable[[], list[dict[str, Any]]]
) -> None:
    key, trace = await made(connection, "read"), "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {**bearer(key), "traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-ID": "r-1"}
    await client.get("/data?q=secret-question", headers=headers)
    (line,) = [line for line in log() if line["event"] == "http.request"]
    assert line["duration_ms"] > 0
    shown = {name: line[name] for name in line if name not in {"timestamp", "duration_ms", "version"}}
    assert shown == {
        "level": "info", "event": "http.request", "message": "GET /data 200", "service": "test", "http_method": "GET",
        "http_route": "/data", "http_status": 200, "client_address": "127.0.0.1", "key_id": key.id, "request_id": "r-1",
        "trace_id": trace,
    }  # fmt: skip
