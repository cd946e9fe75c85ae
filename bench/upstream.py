"""A server of prepared bytes, as a process of its own: pages of JSON records, or feeds, as cheap to serve as can be.

python -m bench.upstream records|feeds DOCUMENTS ENTRIES      prints its port, and serves until it is ended
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

Kind = Literal["records", "feeds"]
_ROOT: Final = Path(__file__).parents[1]
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_HTML: Final = (
    "<p>Entry <b>{number}</b> was written about <a href='https://example.org/places/{place}'>place {place}</a>, where "
    "several people have seen what they had not seen before, and said so at some length.</p><ul><li>first</li>"
    "<li>second &amp; last</li></ul><p>It may be read again tomorrow, with or without changes.</p>"
)


def json_page(first: int, records: int) -> bytes:
    """A page of so many records, about 330 bytes each; the numbers go on from page to page."""
    items = [_record(number) for number in range(first, first + records)]
    return json.dumps({"data": items, "meta": {"count": len(items)}}).encode()


def _record(number: int) -> dict[str, object]:
    return {
        "id": number,
        "name": f"record number {number}",
        "description": f"what was found at place {number * 7919 % 1_000_003} by those who were there",
        "kind": f"kind{number % 7}",
        "price": round(number % 100_000 + number % 100 / 100, 2),
        "currency": "EUR",
        "updated_at": (_EPOCH + timedelta(seconds=number)).isoformat(),
        "owner": {"login": f"owner{number % 5000}", "id": number % 5000},
        "labels": [f"label{number % 11}", f"label{number % 13}"],
        "stars": number % 997,
        "archived": False,
    }


def feed(first: int, entries: int) -> bytes:
    """An RSS 2.0 document of so many entries, about 900 bytes each."""
    items = "".join(_item(number) for number in range(first, first + entries))
    title = f"<title>Feed from {first}</title><link>https://example.org/</link><description>For measuring</description>"
    return f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>{title}{items}</channel></rss>'.encode()


def _item(number: int) -> str:
    html = _HTML.format(number=number, place=number * 7919 % 1_000_003).replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<item><title>Entry number {number}</title><link>https://example.org/entries/{number}</link>"
        f"<guid isPermaLink='false'>entry-{number}</guid><author>someone@example.org (Someone)</author>"
        f"<pubDate>{format_datetime(_EPOCH + timedelta(seconds=number))}</pubDate>"
        f"<category>kind{number % 7}</category><category>place</category><description>{html}</description></item>"
    )


MAKERS: Final[dict[Kind, Callable[[int, int], bytes]]] = {"records": json_page, "feeds": feed}


class _Answering(asyncio.Protocol):
    """GET of `/?page=N`, counted from 1, on a connection that stays open."""

    def __init__(self, answers: list[bytes], beyond: bytes) -> None:
        self._answers = answers
        self._beyond = beyond
        self._asked = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *requests, self._asked = (self._asked + data).split(b"\r\n\r\n")
        for request in requests:
            page = int(parse_qs(urlsplit(request.split(b" ", 2)[1].decode()).query)["page"][0])
            self._transport.write(self._answers[page - 1] if page <= len(self._answers) else self._beyond)


def _answer(body: bytes, kind: Kind) -> bytes:
    media_type = "application/json" if kind == "records" else "application/rss+xml"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def serve(kind: Kind, documents: int, entries: int) -> None:
    """Serve until cancelled."""
    make = MAKERS[kind]
    answers = [_answer(make(number * entries, entries), kind) for number in range(documents)]
    beyond = _answer(make(0, 0), kind)
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(answers, beyond), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@asynccontextmanager
async def upstream(kind: Kind, documents: int, entries: int) -> AsyncGenerator[str]:
    """The URL of such a server; it ends with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.upstream", kind, str(documents), str(entries), cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/"
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(serve("feeds" if sys.argv[1] == "feeds" else "records", int(sys.argv[2]), int(sys.argv[3])))
