"""Hostile texts, and ways to send them that no HTTP library would take."""

from typing import Any
from urllib.parse import unquote

import httpx

HOSTILE = (
    "'; drop table unified_data; --", "1); drop table unified_data; --", "1 or 1=1",
    "' union select secret_sha256 from api_keys --", "\x00", "a\x00b", "\ud800", "9" * 400, "-1", "1e400", "NaN",
    "\u202e", "${jndi:ldap://x}", "{{7*7}}", "../../etc/passwd", "%s%n", "\\", '"', "eq.'--", "in.(1,2",
    "not.not.eq.1", "like.%" + "%" * 200, "ilike." + "_%" * 100, "\r\nSet-Cookie: a=b", "\x1b[31m",
    "<script>alert(1)</script>", "\U0001f4a3", "[" * 500,
)  # fmt: skip
LEAKS = ("Traceback", "asyncpg", "syntax error", "select ", "secret_sha256", "/site-packages/", "PostgreSQL", "pg_")


def quoted(text: str) -> str:
    """Percent-encoded, lone surrogates included, which no library would send."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def require_refusal_without_leak(response: httpx.Response, asked: str) -> None:
    assert response.status_code < 500, (asked, response.status_code, response.text)
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json", asked
        shown = response.text.replace(asked, "")
        assert [leak for leak in LEAKS if leak in shown and leak not in asked] == [], (asked, response.text)


async def ask_raw(
    client: httpx.AsyncClient, path: str, *, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[int, dict[bytes, bytes], bytes]:
    """The application's answer to a path as a server hands it on."""
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path.partition("?")[0]), "raw_path": path.partition("?")[0].encode(), "root_path": "",
        "query_string": path.partition("?")[2].encode(), "headers": [(b"host", b"kasparro"), *headers],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    await transport.app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], dict(messages[0]["headers"]), body
