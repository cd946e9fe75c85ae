"""Bodies of requests: small, JSON, and there in time; whoever reads one further in finds it whole."""

import asyncio
from typing import Final

from starlette.types import Message, Receive

from kasparro.core.errors import ContentTooLargeError, RequestTimeoutError, UnsupportedMediaTypeError

MAX_BODY_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 10.0


def refuse_large(content_length: bytes) -> None:
    """Raises ContentTooLargeError for a body that says itself that it is too large."""
    if content_length.isdigit() and int(content_length) > MAX_BODY_BYTES:
        raise ContentTooLargeError(f"a body has at most {MAX_BODY_BYTES:,} bytes")


async def read_whole(receive: Receive, content_type: bytes) -> Receive:
    """A `receive` that gives the body in one piece, however it came: with its length, in chunks, or slowly.

    Raises ContentTooLargeError, RequestTimeoutError, UnsupportedMediaTypeError; a body that is none has no type.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            messages, body = await _read(receive)
    except TimeoutError:
        raise RequestTimeoutError(f"the body did not arrive within {BODY_SECONDS:g} s") from None
    if body and content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMediaTypeError("a body is application/json, and its Content-Type says so")
    waiting = iter(messages)

    async def replay() -> Message:
        return next(waiting, None) or await receive()

    return replay


async def _read(receive: Receive) -> tuple[list[Message], bytes]:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return [message], b""
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise ContentTooLargeError(f"a body has at most {MAX_BODY_BYTES:,} bytes")
        if not message.get("more_body", False):
            return [{"type": "http.request", "body": bytes(body), "more_body": False}], bytes(body)
