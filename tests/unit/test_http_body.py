"""Bodies under a cap, unpacked as they come."""

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.http.body import read_body
from kasparro.ingestion.http.failures import AttemptFailed

TEXT = b"earthquakes " * 500
PACKED = gzip.compress(TEXT, mtime=0)


class Parts:
    """A body in parts of `size` bytes; counts those that were asked for."""

    def __init__(self, data: bytes, size: int = 1000) -> None:
        self._data = data
        self._size = size
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), self._size):
            self.given += 1
            yield self._data[start : start + self._size]


async def read(data: bytes, coding: str = "", *, cap: int = 1_000_000, size: int = 1000) -> bytes:
    return await read_body(aiter(Parts(data, size)), {"content-encoding": coding}, cap)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", PACKED),
        ("X-GZIP", PACKED),
        ("gzip", gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0)),
        ("gzip", PACKED + b"\0" * 10),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
)
async def test_every_coding_that_is_asked_for_is_unpacked(coding: str, data: bytes, size: int) -> None:
    assert await read(data, coding, size=size) == TEXT


@given(st.binary(max_size=5000), st.integers(1, 600), st.sampled_from(["gzip", "deflate", ""]))
async def test_any_bytes_come_back_whatever_the_parts(data: bytes, size: int, coding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes}[coding](data)
    assert await read(packed, coding, size=size) == data


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_an_empty_body_is_empty_whatever_its_coding(coding: str) -> None:
    assert await read(b"", coding) == b""


@pytest.mark.parametrize("left", [1, 5, 20, len(PACKED) - 1])
async def test_a_truncated_gzip_body_is_worth_another_try(left: int) -> None:
    with pytest.raises(AttemptFailed, match="the gzip body is truncated") as failed:
        await read(PACKED[:left], "gzip")
    assert failed.value.retryable


async def test_a_truncated_second_member_is_noticed() -> None:
    with pytest.raises(AttemptFailed, match="truncated"):
        await read(PACKED + PACKED[:30], "gzip")


@pytest.mark.parametrize("data", [b"<html>not gzip</html>", PACKED + b"rubbish", b"\x1f\x8b\x08rubbish"])
async def test_a_damaged_gzip_body_says_so(data: bytes) -> None:
    with pytest.raises(AttemptFailed, match="the gzip body is damaged"):
        await read(data, "gzip")


async def test_what_follows_the_end_of_a_deflate_body_is_damage() -> None:
    with pytest.raises(AttemptFailed, match="the deflate body is damaged: something follows its end"):
        await read(zlib.compress(TEXT) + b"rubbish", "deflate", size=10_000)


async def test_a_wrong_check_sum_is_damage() -> None:
    packed = bytearray(PACKED)
    packed[-6] ^= 1
    with pytest.raises(AttemptFailed, match="damaged"):
        await read(bytes(packed), "gzip")


async def test_a_coding_that_was_not_asked_for_is_an_error() -> None:
    for coding in ("br", "zstd", "gzip, gzip"):
        with pytest.raises(AttemptFailed, match=f'encoded as "{coding}", which was not asked for') as failed:
            await read(b"data", coding)
        assert not failed.value.retryable


async def test_a_body_of_exactly_the_cap_is_allowed_and_one_byte_more_is_not() -> None:
    assert await read(b"x" * 500, cap=500) == b"x" * 500
    assert await read(gzip.compress(b"x" * 500), "gzip", cap=500) == b"x" * 500
    for data, coding in ((b"x" * 501, ""), (gzip.compress(b"x" * 501), "gzip")):
        with pytest.raises(AttemptFailed, match="larger than the 500 bytes allowed") as failed:
            await read(data, coding, cap=500)
        assert not failed.value.retryable


async def test_what_comes_in_is_counted_even_where_it_unpacks_to_nothing() -> None:
    with pytest.raises(AttemptFailed, match="larger than the 500 bytes allowed"):
        await read(gzip.compress(b"") * 100, "gzip", cap=500, size=50)


async def test_a_bomb_is_noticed_long_before_it_has_come_in() -> None:
    bomb = Parts(gzip.compress(b"\0" * 20_000_000), size=1000)
    with pytest.raises(
        AttemptFailed,
        match=r"the body, decompressed, is larger than the 1,000,000 bytes allowed \(\d,000 received so far\)",
    ):
        await read_body(aiter(bomb), {"content-encoding": "gzip"}, 1_000_000)
    assert bomb.given < 5


async def test_an_announced_length_above_the_cap_is_refused_before_anything_is_read() -> None:
    parts = Parts(b"x" * 5000)
    with pytest.raises(AttemptFailed, match="the body has 5,000 bytes, more than the 4,999 allowed"):
        await read_body(aiter(parts), {"content-length": "5000"}, 4999)
    assert parts.given == 0
