"""What feeds cost on top of downloading them and parsing them with feedparser: 40 feeds of 250 entries, on loopback.

    python -m bench.feeds --rounds 3 [--documents 40]

The bare loop (httpx, feedparser) is timed without Python's start and imports; `kasparro run` with them, as a process,
and by its own clock besides. On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one.
"""

import asyncio
from typing import Any

from bench.measuring import save, table
from bench.reading import Found, Reading, measure, parser_for
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions

CONFIGURATION = """
sources:
  - name: feeds
    type: rss
    urls: [{urls}]
    allow_private: true
    rate_limit: {requests: 100000, per: 1s}
"""


def show(found: Found) -> None:
    """Microseconds an entry, and by how much more than the bare loop."""
    rows: list[tuple[str, ...]] = []
    for one in (found.bare, found.whole, found.itself):
        on_top = "" if one is found.bare else f"{(one.median / found.bare.median - 1) * 100:+.1f} %"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.median / one.rows * 1e6:.0f}", on_top, *one.cpu))
    headers = ("step", "seconds", "from..to", "us an entry", "on top", "client CPU s", "server CPU s")
    print(f"\nFeeds: {found.bare.rows:,} entries in documents of 250\n\n{table(headers, rows)}\n")


async def run(options: ConnectionOptions, rounds: int, documents: int | None) -> dict[str, Any]:
    """Measure and print; the figures."""
    count = documents or 40
    urls = ", ".join(f'"{{url}}?page={number}"' for number in range(1, count + 1))
    facts, found = await measure(options, Reading("feeds", count, 250, CONFIGURATION.replace("{urls}", urls)), rounds)
    show(found)
    return {"machine": facts, "feeds": found.as_data()}


def main() -> None:
    """Measure as the command line says."""
    arguments = parser_for(__doc__).parse_args()
    save(
        asyncio.run(on_a_server(lambda options: run(options, arguments.rounds, arguments.documents))),
        "feeds",
        arguments.json,
    )


if __name__ == "__main__":
    main()
