"""A way to the database that can be made worse: TCP on loopback in front of the server, which delays, stalls and cuts.

The server itself notices of all this only what a server behind a bad network would.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from kasparro.core.database import ConnectionOptions, Tls

_CHUNK_BYTES = 16 * 1024
_COPY_IN = b"G\x00\x00\x00"
"""How a server's answer to `COPY .. FROM STDIN` begins:
https://www.postgresql.org/docs/current/protocol-message-formats.html."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def error_response(state: str, message: str) -> bytes:
    """What a server answers instead of taking a connection."""
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", state), (b"M", message)))
    body = fields + b"\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


class _Link:
    """One connection through the way, and the two halves that it is made of."""

    def __init__(self, way: "Way", client: Streams, server: Streams) -> None:
        self._way = way
        self._client = client
        self._server = server
        self._dead = asyncio.Event()
        self.frozen = False
        self.copies = 0

    async def carry(self) -> None:
        """Both directions, until either ends or the link is cut."""
        up = asyncio.ensure_future(self._pump(self._client[0], self._server[1], self._way.after_up))
        down = asyncio.ensure_future(self._pump(self._server[0], self._client[1], self._way.after_down))
        dead = asyncio.ensure_future(self._dead.wait())
        try:
            await asyncio.wait({up, down, dead}, return_when=asyncio.FIRST_COMPLETED)
            while self.frozen and not self._dead.is_set():
                await asyncio.wait({dead})
        finally:
            for task in (up, down, dead):
                task.cancel()
            await asyncio.wait({up, down, dead})
            self._server[1].transport.abort()

    def cut(self) -> None:
        """Both sides are told at once that it is over, as by a router that restarts (RST)."""
        for _, writer in (self._client, self._server):
            with suppress(OSError):
                peer: socket.socket = writer.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._dead.set()

    def freeze(self) -> None:
        """Neither side hears anything any more, nor of an end: a cable pulled out."""
        self.frozen = True

    def half_close(self) -> None:
        """The client is told that the server has ended, which knows nothing of it."""
        self.frozen = True
        self._client[1].write_eof()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, after: Callable[["_Link", bytes], None]
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK_BYTES):
                await self._way.pass_on()
                if self.frozen:
                    return
                sink.write(chunk)
                await sink.drain()
                after(self, chunk)


class Way:
    """All connections to one server that go through here; `options` lead into it."""

    def __init__(self, target: ConnectionOptions, port: int) -> None:
        self.options = replace(target, hosts=("127.0.0.1",), ports=(port,), tls=Tls(mode="disable"))
        self.opened = 0
        self.delay_seconds = (0.0, 0.0)
        """The shortest and the longest that a piece of at most 16 KiB is kept back."""
        self.refusals: list[bytes] = []
        """What connections to come are answered, one after another, instead of being connected."""
        self.cut_in_copy = 0
        """Cut the connection over which so many COPYs have begun, in the middle of the last one; 0: none."""
        self.was_cut = asyncio.Event()
        """Set when that has happened."""
        self._target = target
        self._random = random.Random(7)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()

    def stall(self) -> None:
        """Let no byte pass, on any connection, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def cut(self) -> int:
        """End every connection; returns how many there were."""
        return self._each(_Link.cut)

    def freeze(self) -> int:
        """Leave those who are connected now without another word, for ever; who connects later is not concerned."""
        return self._each(_Link.freeze)

    def half_close(self) -> int:
        """Tell the clients alone that it is over."""
        return self._each(_Link.half_close)

    def _each(self, what: Callable[[_Link], None]) -> int:
        for link in list(self._links):
            what(link)
        return len(self._links)

    async def pass_on(self) -> None:
        """Return when a piece may pass."""
        await self._flowing.wait()
        if self.delay_seconds[1]:
            await asyncio.sleep(self._random.uniform(*self.delay_seconds))

    def after_up(self, link: _Link, _chunk: bytes) -> None:
        if self.cut_in_copy and link.copies >= self.cut_in_copy:
            self.cut_in_copy = 0
            self.was_cut.set()
            link.cut()

    def after_down(self, link: _Link, chunk: bytes) -> None:
        link.copies += chunk.count(_COPY_IN)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until its connection ends."""
        self.opened += 1
        try:
            if self.refusals:
                await reader.read(_CHUNK_BYTES)
                writer.write(self.refusals.pop(0))
                await writer.drain()
                writer.close()
            else:
                await self._connect((reader, writer))
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self, client: Streams) -> None:
        """The client's connection and one to the server, until either ends; nothing where there is no server."""
        try:
            server = await asyncio.open_unix_connection(f"{self._target.hosts[0]}/.s.PGSQL.{self._target.ports[0]}")
        except OSError:
            return
        link = _Link(self, client, server)
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)
            with suppress(OSError):
                await server[1].wait_closed()


@asynccontextmanager
async def way_to(target: ConnectionOptions) -> AsyncGenerator[Way]:
    """A way to a server that listens on a socket in a folder."""
    listening = socket.create_server(("127.0.0.1", 0))
    way = Way(target, int(listening.getsockname()[1]))
    handlers: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(way.accept(reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)

    proxy = await asyncio.start_server(accepted, sock=listening)
    try:
        yield way
    finally:
        proxy.close()
        way.flow()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@pytest.fixture
async def way(database: ConnectionOptions) -> AsyncIterator[Way]:
    """A way to the test's own database."""
    async with way_to(database) as made:
        yield made
