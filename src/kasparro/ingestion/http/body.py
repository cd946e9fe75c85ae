"""Reads an answer's body under a cap, on the wire and unpacked, without ever holding more than the cap.

Codings: gzip (RFC 1952, several members too) and deflate (RFC 1950, and the bare RFC 1951 that some servers send).
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final, Protocol

from kasparro.ingestion.http.failures import AttemptFailed

ACCEPT_ENCODING: Final = "gzip, deflate"
_SLICE_BYTES: Final = 256 * 1024
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class _Coding(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


async def read_body(parts: AsyncIterator[bytes], headers: Mapping[str, str], cap_bytes: int) -> bytes:
    """The whole body, unpacked. Raises AttemptFailed when it is too large, damaged, truncated or in another coding."""
    _refuse_announced(headers.get("content-length", ""), cap_bytes)
    coding = _coding(headers.get("content-encoding", ""))
    received = 0
    body = bytearray()
    async for part in parts:
        received += len(part)
        if received > cap_bytes:
            raise AttemptFailed("too_large", f"the body is larger than the {cap_bytes:,} bytes allowed")
        for piece in coding.feed(part):
            body += piece
            if len(body) > cap_bytes:
                raise _bomb(received, cap_bytes)
            if len(piece) == _SLICE_BYTES:
                await asyncio.sleep(0)  # others run between two slices
    coding.finish()
    return bytes(body)


def _refuse_announced(length: str, cap_bytes: int) -> None:
    if length.isdecimal() and int(length) > cap_bytes:
        raise AttemptFailed("too_large", f"the body has {int(length):,} bytes, more than the {cap_bytes:,} allowed")


def _bomb(received: int, cap_bytes: int) -> AttemptFailed:
    told = f"the body, decompressed, is larger than the {cap_bytes:,} bytes allowed ({received:,} received so far)"
    return AttemptFailed("too_large", told)


def _coding(name: str) -> _Coding:
    wanted = name.strip().lower()
    if wanted in ("", "identity"):
        return _Identity()
    if wanted in _GZIP or wanted == "deflate":
        return _Inflation(wanted)
    raise AttemptFailed("encoding", f'the body is encoded as "{name[:50]}", which was not asked for')


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        return


class _Inflation:
    """Unpacks as data comes, in slices, so that a bomb is noticed before it has gone off."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream: zlib._Decompress | None = None
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            yield from self._unpack(data)
        except zlib.error as error:
            raise AttemptFailed("body", f"the {self._name} body is damaged: {error}", retryable=True) from error

    def finish(self) -> None:
        """Raises AttemptFailed unless the last member is complete; a body without a single byte is empty."""
        if self._held.strip(b"\0") or (self._stream is not None and not self._stream.eof):
            raise AttemptFailed("body", f"the {self._name} body is truncated", retryable=True)

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        data = self._held + data
        self._held = b""
        while data:
            if self._stream is None or self._stream.eof:
                if len(data) < 2 or (self._stream is not None and not data.strip(b"\0")):
                    self._held = data
                    return
                self._stream = zlib.decompressobj(self._window(data))
            yield from self._inflate(self._stream, data)
            data = self._stream.unused_data

    @staticmethod
    def _inflate(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        piece = stream.decompress(data, _SLICE_BYTES)
        while piece:
            yield piece
            piece = stream.decompress(stream.unconsumed_tail, _SLICE_BYTES)

    def _window(self, data: bytes) -> int:
        """How zlib is to read what begins like this; see zlib.decompressobj."""
        if self._name in _GZIP:
            return 31
        if self._stream is not None:
            raise zlib.error("something follows its end")
        wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
        return 15 if wrapped else -15
