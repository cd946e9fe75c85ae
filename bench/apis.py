"""What a record of a JSON API costs on top of a bare loop: 200,000 records in pages of 1,000, over loopback.

    python -m bench.apis --rounds 3 [--documents 200]

The bare loop (httpx, jiter) is timed without Python's start and imports; `kasparro run` with them, as a process, and by
its own clock besides. On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one.
"""

from typing import Final

from bench.measuring import Part, Series, table
from bench.reading import Found, Reading, read, run_command

from kasparro.core.database import ConnectionOptions

DOCUMENTS: Final = 200
PER_PAGE: Final = 1000
CONFIGURATION: Final = """
sources:
  - name: records
    type: api
    url: "{url}"
    allow_private: true
    records: data
    pagination: {type: page, param: page, start: 1, size_param: per_page, size: 1000}
    rate_limit: {requests: 100000, per: 1s}
    key: id
    map:
      title: name
      body: description
      category: kind
      value: price
      unit: currency
      occurred_at: updated_at
      entity_key: owner.login
      tags: labels
      attributes: {stars: stars, archived: archived}
"""


def on_top(found: Found, one: Series) -> float:
    """Microseconds a record that a step takes more than the bare loop."""
    return (one.median - found.bare.median) / one.rows * 1e6


def shown(found: Found) -> str:
    """Microseconds a record, and how many of them come on top of the bare loop."""
    rows: list[tuple[str, ...]] = []
    for one in (found.bare, found.whole, found.itself):
        more = "" if one is found.bare else f"{on_top(found, one):.1f}"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.median / one.rows * 1e6:.1f}", more, *one.cpu))
    return table(("step", "seconds", "from..to", "us a record", "us on top", "client CPU s", "server CPU s"), rows)


async def measure(options: ConnectionOptions, rounds: int, documents: int) -> Part:
    """So many pages of a thousand records."""
    found = await read(options, Reading("records", documents, PER_PAGE, CONFIGURATION), rounds)
    text = f"JSON API: {found.bare.rows:,} records in pages of {PER_PAGE:,}, {rounds} rounds\n\n{shown(found)}"
    return Part("api", text, found.as_data(), {"JSON API: us a record on top": on_top(found, found.whole)})


if __name__ == "__main__":
    run_command(__doc__, measure, DOCUMENTS)
