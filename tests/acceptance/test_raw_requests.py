"""What no HTTP library would send, byte by byte to the real server; docs/security.md names these tests."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from granian.http import HTTP1Settings
from starlette.applications import Starlette

from kasparro.core import serving
from kasparro.core.database import ConnectionOptions
from tests.acceptance.kasparro_process import environment, finish, start
from tests.recovery.facts import url_of

SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens at every address, with reading open."""

    process: asyncio.subprocess.Process
    port: int

    async def ask(self, data: bytes) -> bytes:
        """All that it answers until it ends the connection."""
        return await answers(self.port, data)

    async def stop(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        self.process.send_signal(signal.SIGTERM)
        return [json.loads(line) for line in (await finish(self.process)).stdout.split("\n")[:-1]]


async def answers(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionError):  # it need not read all before it answers and ends
            writer.write(data)
            await writer.drain()
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                said += piece
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return said


@pytest.fixture
async def raw(tmp_path: Path, database: ConnectionOptions, port: int) -> AsyncIterator[Server]:
    env = environment(
        DATABASE_URL=url_of(database), KASPARRO_HOME=str(tmp_path / "home"), KASPARRO_READ_KEY_REQUIRED="false",
        KASPARRO_HOST="0.0.0.0", KASPARRO_PORT=str(port),
    )  # fmt: skip
    process = await start("-m", "kasparro", "serve", env=env, cwd=tmp_path)
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["event"] == "server.open"
    assert json.loads(await process.stdout.readline())["event"] == "server.started"
    yield Server(process, port)
    if process.returncode is None:
        process.kill()
        await process.wait()


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: kasparro", b"Connection: close", *headers, b"", b""]) + body


async def test_malformed_bytes_get_an_error_or_nothing_and_leave_one_log_line_each_at_most(raw: Server) -> None:
    get = b"GET /data HTTP/1.1"
    malformed = [
        request(get, b"X: a\x00b"), request(get, b"X: a\rb"), request(get, b"X : a"), request(get, b" X: folded"),
        request(b"GET /a\x01b HTTP/1.1"), request(b"GET /data HTTP/9.9"), request(b"GET  /data  HTTP/1.1"),
        b"GET /data\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, b"\x00" * 1000, b"\r\n" * 40_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        request(b"POST /runs HTTP/1.1", b"Content-Length: 5", b"Content-Length: 6"),
        request(b"POST /runs HTTP/1.1", b"Content-Length: -1"),
        request(b"POST /runs HTTP/1.1", b"Content-Length: 9" + b"9" * 30),
        request(b"POST /runs HTTP/1.1", b"Transfer-Encoding: chunked", body=b"zz\r\nx\r\n0\r\n\r\n"),
        request(b"POST /runs HTTP/1.1", b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    ]  # fmt: skip
    for data in malformed:
        said = await raw.ask(data)
        assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"HTTP/1.1 505 ")), (
            data[:80],
            said[:80],
        )
        assert said.count(b"HTTP/1.1 ") <= 1, data[:80]
    for data in (
        request(get, b"X: " + b"x" * 40_000), request(get, b"X: " + b"x" * 200_000),
        request(get, *(b"X%d: y" % number for number in range(200))),
    ):  # fmt: skip
        assert (await raw.ask(data)).startswith(b"HTTP/1.1 431 ")
    for length in (10_000, 60_000):
        assert (await raw.ask(request(b"GET /" + b"x" * length + b" HTTP/1.1"))).startswith(b"HTTP/1.1 414 ")
    assert (await raw.ask(request(b"GET /health HTTP/1.1"))).startswith(b"HTTP/1.1 200 ")
    lines = await raw.stop()
    assert {line["level"] for line in lines} == {"info"}
    assert len([line for line in lines if line["event"] == "http.request"]) <= len(malformed) + 6


async def test_no_second_request_is_smuggled_behind_a_first(raw: Server) -> None:
    hidden = b"GET /sources HTTP/1.1\r\nHost: kasparro\r\n\r\n"
    both = b"POST /runs HTTP/1.1\r\nHost: kasparro\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    said = await raw.ask(both % (5 + len(hidden)) + hidden)
    assert said.count(b"HTTP/1.1 ") == 1
    for path in (
        b"/x%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/sources",
        b"/%0d%0a%0d%0a",
        b"//evil.example/%2e%2e",
        b"/data%00",
    ):
        said = await raw.ask(request(b"GET " + path + b" HTTP/1.1", b"X-Request-ID: a%0d%0ab", b"User-Agent: \x1b[31m"))
        assert said.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), path
        head = said.partition(b"\r\n\r\n")[0].lower()
        assert (said.count(b"HTTP/1.1 "), b"evil" in head, b"location" in head) == (1, False, False)
    large = request(
        b"POST /runs HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 100000000", body=b"{" * 1000
    )
    assert (await raw.ask(large)).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 408 "))
    lines = await raw.stop()
    assert all(str(value).isprintable() for line in lines for value in line.values())


async def test_connections_that_say_nothing_or_half_a_request_are_ended(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (serving._HTTP1.header_read_timeout, serving._HTTP1.max_buffer_size) == (75_000, 65_536)
    monkeypatch.setattr(serving, "_HTTP1", HTTP1Settings(header_read_timeout=200))
    ready = asyncio.Event()
    server = asyncio.create_task(
        serving.serve_application(Starlette(), host="127.0.0.1", port=port, on_ready=ready.set)
    )
    await ready.wait()
    assert await answers(port, b"") == b""
    assert await answers(port, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ") in {
        b"",
        b"HTTP/1.1 408 Request Timeout\r\n\r\n",
    }
    assert (await answers(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    server.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await server
