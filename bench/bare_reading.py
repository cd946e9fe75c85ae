"""The least that reads what `bench.upstream` serves: download and parse, keep nothing.

python -m bench.bare_reading records|feeds URL DOCUMENTS      prints its seconds, without Python's start and imports
"""

import json
import sys
import time
import warnings

import feedparser  # pyright: ignore[reportMissingTypeStubs]
import httpx
import jiter


def records_in(body: bytes) -> int:
    """Parsed as kasparro parses it."""
    return len(jiter.from_json(body)["data"])


def entries_in(body: bytes) -> int:
    """Parsed by feedparser, with its defaults: sanitized, relative links resolved."""
    return len(feedparser.parse(body).entries)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def read(kind: str, url: str, documents: int) -> tuple[int, float]:
    """How many there were, and how long it took."""
    count = entries_in if kind == "feeds" else records_in
    began = time.perf_counter()
    with httpx.Client() as client:
        found = sum(count(client.get(url, params={"page": page}).content) for page in range(1, documents + 1))
    return found, time.perf_counter() - began


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found, seconds = read(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"found": found, "seconds": seconds}))
