"""What hostile requests are answered: the table in docs/security.md names each of these tests."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from kasparro.api.app import create_app
from kasparro.api.bodies import BODY_SECONDS
from kasparro.api.options import ApiOptions
from kasparro.core.database import Connection, Pool
from tests.test_api.hostile_requests import HOSTILE, ask_raw, quoted, require_refusal_without_leak
from tests.test_api.test_access import bearer, client_of, made
from tests.test_api.test_gate import log

__all__ = ["log"]
OPEN = {"/health", "/health/live", "/health/ready"}


@pytest.fixture
async def hostile(pool: Pool, records: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application without a limit, over some records."""
    del records
    async with client_of(create_app(pool, ApiOptions(requests_per_minute=0))) as client:
        yield client


async def test_sql_in_every_parameter_of_every_route_changes_and_shows_nothing(
    hostile: httpx.AsyncClient, connection: Connection
) -> None:
    before = await connection.fetchval("select count(*) from unified_data")
    document: dict[str, Any] = (await hostile.get("/openapi.json")).json()
    tried = 0
    for path, operations in document["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            for text in HOSTILE:
                name, value = parameter["name"], quoted(text)
                asked = path.replace(f"{{{name}}}", value) if parameter["in"] == "path" else f"{path}?{name}={value}"
                require_refusal_without_leak(await hostile.get(asked), text)
                tried += 1
    assert tried > 500
    assert await connection.fetchval("select count(*) from unified_data") == before


async def test_sql_in_names_of_parameters_is_no_name(hostile: httpx.AsyncClient, connection: Connection) -> None:
    before = await connection.fetchval("select count(*) from unified_data")
    for path in ("/data", "/runs", "/sources", "/stats", "/health", "/metrics"):
        for text in HOSTILE if path == "/data" else HOSTILE[:5]:
            for name in (text, f"attributes.{text}", f"title{text}"):
                response = await hostile.get(f"{path}?{quoted(name)}=1")
                require_refusal_without_leak(response, name)
    for parameter in ("sort", "fields"):
        for text in HOSTILE:
            for value in (f"title,{text}", f"attributes.{text}", f"-{text}"):
                require_refusal_without_leak(await hostile.get(f"/data?{parameter}={quoted(value)}"), value)
    assert await connection.fetchval("select count(*) from unified_data") == before


@pytest.mark.parametrize(
    "path",
    ["//data", "/data/", "/DATA", "/data/../runs", "/data/%2e%2e/runs", "/%2e%2e/data", "/data%00", "/data;x=1",
     "/data\\..\\x", "/%64ata/1/", "/data/1/", "/data/9223372036854775808",
     "/docs/../data", "/docs/assets/..%2f..%2fapp.py/x",
     "/docs/assets/x/..%2f..%2f..%2fapp.py", "/openapi.json/"],
)  # fmt: skip
async def test_other_spellings_of_a_path_lead_nowhere(hostile: httpx.AsyncClient, path: str) -> None:
    """Asked as it is written: no library in between that tidies it up."""
    status, headers, body = await ask_raw(hostile, path)
    assert (path, status) == (path, 404)
    assert (headers[b"content-type"], b"location" in headers) == (b"application/problem+json", False)
    assert json.loads(body)["code"] == "not_found"


@pytest.mark.parametrize(
    "text", [".", "-1", "1%0a", "%F0%9F%92%A3", "1.0", "+1", "%EF%BC%91", "0x1", "1e0", "%00", "1%00"]
)
async def test_an_id_is_plain_digits(hostile: httpx.AsyncClient, text: str) -> None:
    for path in ("/data", "/raw", "/runs"):
        status, _, body = await ask_raw(hostile, f"{path}/{text}")
        assert (path, status, json.loads(body)["code"]) == (path, 400, "parameter")


@pytest.mark.parametrize(
    "given", ["a\r\nSet-Cookie: x=y", "a\nb", "a b", "\x1b[31mred", "x" * 129, "", "é", '"', "a;b"]
)
async def test_a_request_id_that_is_none_is_replaced(hostile: httpx.AsyncClient, given: str) -> None:
    sent = ((b"x-request-id", given.encode("latin-1")),)
    _, headers, body = await ask_raw(hostile, "/data?limit=1", headers=sent)
    shown = headers[b"x-request-id"].decode("ascii")
    assert (len(shown), shown.isalnum(), b"set-cookie" in headers) == (32, True, False)
    assert json.loads(body)["request_id"] == shown


async def test_nothing_that_was_sent_breaks_out_of_a_header(hostile: httpx.AsyncClient) -> None:
    for path in (
        "/data?sort=-id&limit=1&title=neq.%0d%0aSet-Cookie:%20a%3Db",
        "/data?limit=1&q=%0d%0aX:%20y",
        "/%0d%0aX:%20y",
    ):
        _, headers, _ = await ask_raw(hostile, path, headers=((b"origin", b"http://a\x0d\x0ab"),))
        assert b"set-cookie" not in headers
        assert not any(character in value for value in headers.values() for character in b"\r\n")


async def test_what_is_too_large_is_refused(hostile: httpx.AsyncClient, connection: Connection) -> None:
    for path, status in (
        ("/data?q=" + "x" * 9000, 414), ("/" + "x" * 9000, 414), ("/data?" + "&".join(["title=x"] * 101), 400),
        ("/data?" + "&" * 5000, 400), ("/data?title=in.(" + ",".join("a" * 1500) + ")", 400),
        ("/data?q=" + "a%20" * 1500, 400),
    ):  # fmt: skip
        response = await hostile.get(path)
        assert (path[:40], response.status_code) == (path[:40], status)
        assert len(response.content) < 4000
    long = await hostile.get("/data", headers={"X-Long": "x" * 40_000})
    assert (long.status_code, long.json()["code"]) == (431, "headers_too_large")
    key = await made(connection, "operate")
    big = await hostile.post("/runs", headers=bearer(key), json={"source": "x" * 70_000})
    assert (big.status_code, big.json()["code"]) == (413, "content_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    chunked = await hostile.post("/runs", headers={**bearer(key), "Content-Type": "application/json"}, content=pieces())
    assert chunked.status_code == 413


async def test_a_deep_or_broken_body_is_refused(hostile: httpx.AsyncClient, connection: Connection) -> None:
    headers = {**bearer(await made(connection, "operate")), "Content-Type": "application/json"}
    for body in (
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"{",
        b"null0",
        b'{"source": 1e400}',
        b'{"source": "\\ud800"}',
        b"\xff\xfe",
    ):
        response = await hostile.post("/runs", headers=headers, content=body)
        require_refusal_without_leak(response, body.decode("latin-1"))
        assert response.status_code in {400, 404, 422}, body[:20]


async def test_only_json_is_taken(hostile: httpx.AsyncClient, connection: Connection) -> None:
    key = await made(connection, "operate")
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "",
    ):
        response = await hostile.post(
            "/runs", headers={**bearer(key), "Content-Type": kind}, content=b'{"source": "a"}'
        )
        assert (kind, response.status_code, response.json()["code"]) == (kind, 415, "unsupported_media_type")


async def test_a_body_that_never_ends_is_given_up(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    assert BODY_SECONDS == 10
    monkeypatch.setattr("kasparro.api.bodies.BODY_SECONDS", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with client_of(create_app(pool)) as client:
        response = await client.post("/runs", content=endless(), headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (408, "request_timeout")


async def test_cursors_of_others_are_refused(hostile: httpx.AsyncClient) -> None:
    page = (await hostile.get("/data?limit=1")).json()["page"]
    good: str = page["next_cursor"]
    assert (await hostile.get("/data", params={"limit": 1, "cursor": good})).status_code == 200
    forged = [
        good[:-1] + ("A" if good[-1] != "A" else "B"), good[::-1], good.swapcase(), f"{good}=", f" {good}", good * 2,
        "", "." * 50, base64.b64encode(b'{"id": 1}').decode(), "null", "0", "x" * 2000, *HOSTILE,
    ]  # fmt: skip
    for text in forged:
        for path in ("/data?limit=1&", "/runs?", "/sources?"):
            response = await hostile.get(f"{path}cursor={quoted(text)}")
            assert (text, path, response.status_code) in {(text, path, 400), (text, path, 410)}
            require_refusal_without_leak(response, text)
    for query in ("sort=-id", "title=neq.x", "source=quakes"):
        assert (await hostile.get(f"/data?limit=1&{query}", params={"cursor": good})).status_code in {200, 400}
        assert (await hostile.get(f"/data?limit=1&{query}&cursor={good}")).status_code == 400
    assert (await hostile.get("/runs", params={"cursor": good})).status_code == 400


async def test_a_key_of_one_service_signs_nothing_for_another(pool: Pool, records: None) -> None:
    del records
    async with client_of(create_app(pool, ApiOptions())) as one, client_of(create_app(pool, ApiOptions())) as other:
        cursor = (await one.get("/data?limit=1")).json()["page"]["next_cursor"]
        assert (await other.get("/data", params={"limit": 1, "cursor": cursor})).status_code in {400, 410}


async def test_no_scope_is_gained(pool: Pool, connection: Connection) -> None:
    reader, other = await made(connection, "read"), await made(connection, "operate")
    options = ApiOptions(read_key_required=True, requests_per_minute=0)
    async with client_of(create_app(pool, options)) as client:
        document = (await client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if path in OPEN:
                    continue
                assert operation["security"] == [{"key": []}], path
                asked = path.replace("{id}", "1").replace("{name}", "quakes")
                nobody = await client.request(method, asked)
                assert (method, path, nobody.status_code) == (method, path, 401)
                response = await client.request(method, asked, headers=bearer(reader))
                assert (method, path, response.status_code == 403) == (method, path, method != "get")
        for text in (
            f"ksp_{reader.id}_{other.text[-64:]}", f"ksp_{other.id}_{reader.text[-64:]}", other.text.upper(),
            other.text + "\x00", f"ksp_{other.id}_" + "0" * 64,
            f"ksp_{other.id}_" + "f" * 64, f"ksp_{other.id}_'; --", other.text[4:],
        ):  # fmt: skip
            response = await client.post("/runs", headers=[(b"authorization", f"Bearer {text}".encode())])
            assert response.status_code == 401
        for name in ("key", "api_key", "access_token", "token"):
            assert (await client.post("/runs", params={name: other.text})).status_code == 401
        for header in ("X-API-Key", "Proxy-Authorization", "Cookie", "X-Authorization"):
            assert (await client.post("/runs", headers={header: f"Bearer {other.text}"})).status_code == 401


async def test_methods_that_are_none_of_a_path_do_nothing(hostile: httpx.AsyncClient, connection: Connection) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get", "X" * 300):
        for path in ("/data", "/data/1", "/runs", "/health"):
            status, headers, body = await ask_raw(hostile, path, method=method)
            assert (method, path, status) == (method, path, 405)
            assert headers[b"allow"].decode().split(", ")[0] == "HEAD"
            assert len(body) < 1000
    for name in (b"x-http-method-override", b"x-method-override", b"x-http-method"):
        status, _, _ = await ask_raw(hostile, "/data", headers=((name, b"DELETE"),))
        assert status == 200
    status, headers, body = await ask_raw(hostile, "/data", method="HEAD")
    assert (status, body, int(headers[b"content-length"]) > 0) == (200, b"", True)
    assert await connection.fetchval("select count(*) from unified_data") == 6


async def test_a_log_line_stays_one_line_without_control_characters(
    hostile: httpx.AsyncClient, log: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = (
        "/a%0d%0a%7B%22level%22:%22error%22%7D",
        "/%1b[2J%1b[31m",
        "/%C2%9B31m",
        "/%E2%80%A8x",
        "/%E2%80%AEx",
        "/%00",
    )
    for path in paths:
        headers = ((b"user-agent", b"a\nb\x1b[31m"), (b"x-request-id", b"a\nb"), (b"traceparent", b"00-\n"))
        await ask_raw(hostile, path, headers=headers, method="G\x1bT")
    lines = log()
    assert len(lines) == len(paths)
    for line in lines:
        assert all(str(value).isprintable() for value in line.values()), line
    assert capsys.readouterr().err == ""


async def test_secrets_in_a_request_are_not_logged(
    hostile: httpx.AsyncClient, connection: Connection, log: Callable[[], list[dict[str, Any]]]
) -> None:
    key = await made(connection, "read")
    await hostile.get(f"/nowhere/{key.text}", headers=bearer(key))
    await hostile.get(f"/data?key={key.text}", headers={"Authorization": f"Bearer {key.text}x", "Cookie": key.text})
    assert key.text[-64:] not in json.dumps(log())


async def test_idempotency_keys_are_short_and_printable(hostile: httpx.AsyncClient, connection: Connection) -> None:
    sent = bearer(await made(connection, "operate"))["Authorization"].encode()
    for value in (b"x" * 300, b"x" * 20_000, b"a\x00b", b"a\nb", b"\x1b[31m", b"", b"\xff\xfe"):
        headers = ((b"authorization", sent), (b"idempotency-key", value))
        status, _, body = await ask_raw(hostile, "/runs", method="POST", headers=headers)
        assert (value[:20], status) == (value[:20], 400)
        assert len(body) < 2000
