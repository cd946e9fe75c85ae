"""What feeds cost on top of downloading them and parsing them with feedparser: 40 feeds of 250 entries, on loopback.

    python -m bench.feeds --rounds 3 [--documents 40]

The bare loop (httpx, feedparser) is timed without Python's start and imports; `kasparro run` with them, as a process,
and by its own clock besides. On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one.
"""

from typing import Final

from bench.measuring import Part, Series, table
from bench.reading import Found, Reading, read, run_command

from kasparro.core.database import ConnectionOptions

DOCUMENTS: Final = 40
ENTRIES: Final = 250
CONFIGURATION: Final = """
sources:
  - name: feeds
    type: rss
    urls: [{urls}]
    allow_private: true
    rate_limit: {requests: 100000, per: 1s}
"""


def on_top(found: Found, one: Series) -> float:
    """By how many per cent a step takes longer than the bare loop."""
    return (one.median / found.bare.median - 1) * 100


def shown(found: Found) -> str:
    """Microseconds an entry, and by how much more than the bare loop."""
    rows: list[tuple[str, ...]] = []
    for one in (found.bare, found.whole, found.itself):
        more = "" if one is found.bare else f"{on_top(found, one):+.1f} %"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.median / one.rows * 1e6:.0f}", more, *one.cpu))
    return table(("step", "seconds", "from..to", "us an entry", "on top", "client CPU s", "server CPU s"), rows)


async def measure(options: ConnectionOptions, rounds: int, documents: int) -> Part:
    """So many feeds of 250 entries."""
    urls = ", ".join(f'"{{url}}?page={number}"' for number in range(1, documents + 1))
    found = await read(options, Reading("feeds", documents, ENTRIES, CONFIGURATION.replace("{urls}", urls)), rounds)
    text = f"Feeds: {found.bare.rows:,} entries in documents of {ENTRIES}, {rounds} rounds\n\n{shown(found)}"
    return Part("feeds", text, found.as_data(), {"feeds: per cent on top": on_top(found, found.whole)})


if __name__ == "__main__":
    run_command(__doc__, measure, DOCUMENTS)
