"""An upstream that does what its script says, over real sockets: answers, raw bytes, drips, resets, half bodies.

`server.on("/path", answer(body=b"..."), answer(500))` gives the answers of a path in turn; the last one repeats. An
answer is a `Reply`, or a function that makes one from the request. What was asked stands in `server.requests`.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. `target` is as it came; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends its data again and again, a piece every `gap_seconds`, until the client has had enough."""

    data: bytes = b" "
    gap_seconds: float = 0.01


@dataclass(frozen=True, slots=True)
class Wait:
    """Goes on when the event is set."""

    event: asyncio.Event


class Hang:
    """Sends nothing more, until the client leaves."""


class Reset:
    """Ends the connection by RST."""


class Close:
    """Ends the connection in an orderly way, wherever the answer stands."""


Step = bytes | Drip | Wait | Hang | Reset | Close


@dataclass(frozen=True, slots=True)
class Reply:
    """Steps taken one after another; then the connection stays open for the next request."""

    steps: tuple[Step, ...]

    def then(self, *steps: Step) -> "Reply":
        return Reply((*self.steps, *steps))


Answer = Reply | Callable[[Request], Reply]


def raw(*steps: Step) -> Reply:
    """Exactly these bytes and steps."""
    return Reply(steps)


def answer(
    status: int = 200,
    body: bytes | str = b"",
    headers: Mapping[str, str] | None = None,
    *,
    chunked: bool = False,
    length: int | None = None,
) -> Reply:
    """A well-formed answer; `length` states another Content-Length than the body has."""
    data = body.encode() if isinstance(body, str) else body
    lines = {name.title(): value for name, value in (headers or {}).items()}
    if chunked:
        lines["Transfer-Encoding"] = "chunked"
        data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _pieces(data)) + b"0\r\n\r\n"
    elif status not in (204, 304):
        lines["Content-Length"] = str(len(data) if length is None else length)
    return raw(head(status, lines), data)


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A status line, these headers and no others, and the empty line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return answer(status, json.dumps(value), {"Content-Type": "application/json", **(headers or {})})


def gzipped(data: bytes) -> bytes:
    """The same bytes every time: no time stamp inside."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


@dataclass
class Upstream:
    """A running server. Unknown paths answer 404."""

    url: str = ""
    port: int = 0
    requests: list[Request] = field(default_factory=list[Request])
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _answers: dict[str, list[Answer]] = field(default_factory=dict[str, list[Answer]])
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    def on(self, path: str, *answers: Answer) -> str:
        """Set the answers of a path, whatever its query; returns its URL."""
        self._answers[path] = list(answers)
        return self.url + path

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.path == path for request in self.requests)

    def last(self, path: str) -> Request:
        """The latest request for a path."""
        return [request for request in self.requests if request.path == path][-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            # Cancelled is how `stop` ends it; asyncio would report that as an error of the connection.
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError
            ):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        """End what is still being answered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = _parsed(await reader.readuntil(b"\r\n\r\n"))
        request = replace(request, body=await reader.readexactly(int(request.headers.get("content-length", 0))))
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            for step in self._reply(request).steps:
                if not await _take(step, reader, writer):
                    return False
            return True
        finally:
            self.in_flight -= 1

    def _reply(self, request: Request) -> Reply:
        answers = self._answers.get(request.path, [answer(404, "no such path")])
        chosen = answers.pop(0) if len(answers) > 1 else answers[0]
        return chosen if isinstance(chosen, Reply) else chosen(request)


async def _take(step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    match step:
        case bytes():
            writer.write(step)
            await writer.drain()
        case Drip():
            while not reader.at_eof():
                writer.write(step.data)
                await writer.drain()
                await asyncio.sleep(step.gap_seconds)
            return False
        case Wait():
            await step.event.wait()
        case Hang():
            await reader.read()
            return False
        case Reset():
            raw_socket: socket.socket = writer.get_extra_info("socket")
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        case Close():
            return False
    return True


def _parsed(text: bytes) -> Request:
    first, *lines = text.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return Request(method, target, {name.lower(): value.strip() for name, _, value in pairs})


def _pieces(data: bytes, size: int = 1000) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@contextlib.asynccontextmanager
async def running(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Upstream]:
    """A server on a free port, for as long as the block runs."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, host, 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    upstream.url = f"{'https' if tls else 'http'}://{host}:{upstream.port}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A scripted server on loopback."""
    async with running() as server:
        yield server
